//! A layer that asks before the service within is called: refuses at once, or lets the request
//! through and holds something (a permit) until it is answered, and a large answer taken.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use http::Request;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::answer;
use crate::error::ApiError;

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
                Poll::Ready(result.map(|response| answer::hold(response.into_response(), held)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
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

    async fn ask(gate: &Counting, bytes: usize) -> Body {
        let layer = GateLayer(gate.clone());
        let router: Router =
            Router::new().route("/", get(move || async move { vec![7; bytes] })).layer(layer);
        router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap().into_body()
    }

    #[tokio::test]
    async fn a_large_answer_holds_its_place_until_it_is_sent_and_a_small_one_does_not() {
        let gate = Counting(Arc::new(()));
        let large = answer::LARGE_BYTES as usize + 1;
        let small = ask(&gate, large - 1).await;
        assert_eq!(Arc::strong_count(&gate.0), 1, "nothing is held of it");
        drop(small);

        let body = ask(&gate, large).await;
        assert!(Arc::strong_count(&gate.0) > 1);
        let mut piece = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert_eq!(piece.len(), large);
        let rest = piece.split_off(large - 1);
        drop(piece);
        assert!(Arc::strong_count(&gate.0) > 1, "a byte is not sent yet");
        drop(rest);
        assert_eq!(Arc::strong_count(&gate.0), 1);

        drop(ask(&gate, large).await);
        assert_eq!(Arc::strong_count(&gate.0), 1, "the client is gone");
    }
}
