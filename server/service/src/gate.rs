//! A layer that asks before the service within is called: refuses at once, or lets the request
//! through and holds something (a permit) until it is answered, and a large answer taken.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Request;
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::error::ApiError;

/// An answer of more bytes is memory that its client may leave waiting: it holds what its request
/// held until it is sent. Smaller ones are about what a connection needs anyway.
const LARGE_BYTES: u64 = 64 << 10;

/// Who decides which requests pass; all clones share one state.
pub trait Gate: Clone {
    /// What is held of a request that passed, until it is answered.
    type Held: Send + 'static;

    /// Lets the request pass, now or not at all; may note in it what was learnt.
    ///
    /// # Errors
    /// What the request is answered with instead.
    fn pass<B>(&self, request: &mut Request<B>) -> Result<Self::Held, ApiError>;
}

/// The layer of a gate.
#[derive(Clone, Debug)]
pub struct GateLayer<G>(pub(crate) G);

impl<G: Clone, S> Layer<S> for GateLayer<G> {
    type Service = Gated<G, S>;

    fn layer(&self, inner: S) -> Gated<G, S> {
        Gated { gate: self.0.clone(), inner }
    }
}

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct Gated<G, S> {
    gate: G,
    inner: S,
}

impl<G, S, B> Service<Request<B>> for Gated<G, S>
where
    G: Gate,
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answer<S::Future, G::Held>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.gate.pass(&mut request) {
            Ok(held) => Answer::Inner { future: self.inner.call(request), held: Some(held) },
            Err(error) => Answer::Refused { error: Some(error) },
        }
    }
}

pin_project! {
    /// The answer of a gate: its own refusal, or that of the service within, with `H` (a permit)
    /// held until it is there, and a large one sent. No box: the layers of a request are one future.
    #[project = AnswerProjection]
    pub enum Answer<F, H> {
        #[doc(hidden)]
        Refused { error: Option<ApiError> },
        #[doc(hidden)]
        Inner { #[pin] future: F, held: Option<H> },
    }
}

impl<F, H, R, E> Future for Answer<F, H>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
    H: Send + 'static,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProjection::Refused { error } => {
                let error = error.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(error.into_response()))
            }
            AnswerProjection::Inner { future, held } => {
                let result = ready!(future.poll(cx));
                let held = held.take();
                Poll::Ready(result.map(|response| keep(response.into_response(), held)))
            }
        }
    }
}

fn keep<H: Send + 'static>(response: Response, held: Option<H>) -> Response {
    if response.body().size_hint().lower() <= LARGE_BYTES {
        return response;
    }
    response.map(|body| Body::new(Kept { body, held }))
}

pin_project! {
    /// A large body, with what is held for it. It goes with the first piece, and answers are one piece.
    struct Kept<H> {
        #[pin]
        body: Body,
        held: Option<H>,
    }
}

impl<H: Send + 'static> HttpBody for Kept<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let hold = |data| match this.held.take() {
            Some(held) => Bytes::from_owner(Piece { data, _held: held }),
            None => data,
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that hold something until the last of them is sent.
struct Piece<H> {
    data: Bytes,
    _held: H,
}

impl<H> AsRef<[u8]> for Piece<H> {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Clone)]
    struct Counting(Arc<()>);

    impl Gate for Counting {
        type Held = Arc<()>;

        fn pass<B>(&self, _: &mut Request<B>) -> Result<Arc<()>, ApiError> {
            Ok(Arc::clone(&self.0))
        }
    }

    async fn answer(gate: &Counting, bytes: usize) -> Body {
        let layer = GateLayer(gate.clone());
        let router: Router =
            Router::new().route("/", get(move || async move { vec![7; bytes] })).layer(layer);
        router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap().into_body()
    }

    #[tokio::test]
    async fn a_large_answer_holds_its_place_until_it_is_sent_and_a_small_one_does_not() {
        let gate = Counting(Arc::new(()));
        let large = LARGE_BYTES as usize + 1;
        let small = answer(&gate, large - 1).await;
        assert_eq!(Arc::strong_count(&gate.0), 1, "nothing is held of it");
        drop(small);

        let body = answer(&gate, large).await;
        assert!(Arc::strong_count(&gate.0) > 1);
        let mut piece = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(piece.len(), large);
        let rest = piece.split_off(large - 1);
        drop(piece);
        assert!(Arc::strong_count(&gate.0) > 1, "a byte is not sent yet");
        drop(rest);
        assert_eq!(Arc::strong_count(&gate.0), 1);

        drop(answer(&gate, large).await);
        assert_eq!(Arc::strong_count(&gate.0), 1, "the client is gone");
    }
}
