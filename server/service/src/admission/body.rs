//! The bodies of requests: whole, in memory that was reserved for them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Request, StatusCode};
use pin_project_lite::pin_project;
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use super::global::Admission;
use crate::error::{ApiError, Whose};

/// See [`Admission::bodies`].
#[derive(Clone)]
pub struct BodiesLayer {
    pub(super) admission: Admission,
    pub(super) cap: u64,
}

impl<S> Layer<S> for BodiesLayer {
    type Service = Bodies<S>;

    fn layer(&self, inner: S) -> Bodies<S> {
        Bodies { admission: self.admission.clone(), cap: self.cap, inner }
    }
}

/// See [`Admission::bodies`].
#[derive(Clone)]
pub struct Bodies<S> {
    admission: Admission,
    cap: u64,
    inner: S,
}

impl<S> Service<Request<Body>> for Bodies<S>
where
    S: Service<Request<Body>> + Clone,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = WithBody<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let declared = request.body().size_hint().exact();
        let share = match declared {
            Some(0) => return WithBody::Answering { future: self.inner.call(request), share: None },
            declared => reserve(&self.admission.shared().bytes, self.cap, declared),
        };
        let share = match share {
            Ok(share) => share,
            Err(error) => return WithBody::Refused { error: Some(error) },
        };
        // The one that is ready is the one that is called, when the body is there.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let (parts, body) = request.into_parts();
        let admission = self.admission.clone();
        let (first, rest) = (Bytes::new(), BytesMut::new());
        let reading = Reading { admission, cap: self.cap, declared, body, first, rest, late: None };
        WithBody::Reading { reading, held: Some((parts, inner, share)) }
    }
}

pin_project! {
    /// The answer to a request whose body is read first. No box but the body's own.
    #[project = WithBodyProjection]
    #[project_replace = WithBodyReplaced]
    pub enum WithBody<S, F> {
        #[doc(hidden)]
        Refused { error: Option<ApiError> },
        #[doc(hidden)]
        Reading { reading: Reading, held: Option<(Parts, S, OwnedPermit)> },
        #[doc(hidden)]
        Answering { #[pin] future: F, share: Option<OwnedPermit> },
    }
}

impl<S, E> Future for WithBody<S, S::Future>
where
    S: Service<Request<Body>, Error = E>,
    S::Response: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                WithBodyProjection::Refused { error } => {
                    let error = error.take().expect("a future is not polled after it is ready");
                    return Poll::Ready(Ok(error.into_response()));
                }
                WithBodyProjection::Reading { reading, held } => match ready!(reading.poll(cx)) {
                    Err(error) => Self::Refused { error: Some(error) },
                    Ok(bytes) => {
                        let (parts, mut inner, mut share) = held.take().expect("a body is read once");
                        // What was reserved for a length that was not known goes back.
                        drop(share.split(share.permits() - bytes.len() as u64));
                        let future = inner.call(Request::from_parts(parts, Body::from(bytes)));
                        Self::Answering { future, share: Some(share) }
                    }
                },
                WithBodyProjection::Answering { future, share } => {
                    let result = ready!(future.poll(cx));
                    *share = None;
                    return Poll::Ready(result.map(IntoResponse::into_response));
                }
            };
            self.as_mut().project_replace(next);
        }
    }
}

/// A body that is being read.
#[doc(hidden)]
pub struct Reading {
    admission: Admission,
    cap: u64,
    declared: Option<u64>,
    body: Body,
    // Most bodies are one piece, which is then not copied.
    first: Bytes,
    rest: BytesMut,
    // Made when the body has to be waited for: most are there with the head.
    late: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ApiError>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let within = self.admission.shared().body_timeout();
                    let late = self.late.get_or_insert_with(|| Box::pin(sleep(within)));
                    return late.as_mut().poll(cx).map(|()| Err(too_slow(within)));
                }
            };
            match frame {
                None if self.rest.is_empty() => return Poll::Ready(Ok(std::mem::take(&mut self.first))),
                None => return Poll::Ready(Ok(std::mem::take(&mut self.rest).freeze())),
                Some(Err(_)) => return Poll::Ready(Err(broken())),
                // Trailers mean nothing here.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && let Err(error) = self.take(data)
                    {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    fn take(&mut self, data: Bytes) -> Result<(), ApiError> {
        let cap = self.cap;
        if (self.first.len() + self.rest.len() + data.len()) as u64 > cap {
            return Err(too_large(cap, None));
        }
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return Ok(());
        }
        if self.rest.is_empty() {
            self.rest
                .reserve(self.declared.map_or(self.first.len() + data.len(), |declared| declared as usize));
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&data);
        Ok(())
    }
}

/// Takes the declared length, or the cap where there is none, out of what all bodies may take.
fn reserve(all: &Semaphore, cap: u64, declared: Option<u64>) -> Result<OwnedPermit, ApiError> {
    let wanted = declared.unwrap_or(cap);
    if wanted > cap {
        return Err(too_large(cap, declared));
    }
    all.try_acquire_many_owned(wanted).map_err(|rejected| ApiError::rejected(&rejected, Whose::Ours))
}

fn too_large(cap: u64, declared: Option<u64>) -> ApiError {
    let has = declared.map_or_else(|| format!("more than {cap}"), |bytes| bytes.to_string());
    let detail = format!("The body has {has} bytes, allowed are {cap} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

fn too_slow(within: Duration) -> ApiError {
    let detail = format!("admission.body_timeout_ms: the body took longer than {} ms", within.as_millis());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

fn broken() -> ApiError {
    ApiError::bad_request("bad_request", "The body ended early or is not well formed")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::routing::post;
    use hyper::body::Frame;
    use tower::ServiceExt;

    use super::*;
    use crate::admission::Limits;

    /// A body that comes in pieces without saying how many, and may never end.
    struct Pieces {
        left: u32,
        size: usize,
        ends: bool,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return if self.ends { Poll::Ready(None) } else { Poll::Pending };
            }
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(vec![b'x'; self.size].into()))))
        }
    }

    fn pieces(left: u32, size: usize) -> Body {
        Body::new(Pieces { left, size, ends: true })
    }

    fn admission() -> Admission {
        Admission::new(Limits { bytes: 1_500, body_bytes_max: 1_000, ..Limits::default() }).unwrap()
    }

    /// Answers with the length of the body and how many bytes are reserved while it is handled.
    async fn send(admission: &Admission, body: Body) -> (u16, String) {
        let seen = admission.clone();
        let handler = move |body: Bytes| async move {
            assert!(body.iter().all(|byte| *byte == b'x'));
            format!("{} {}", body.len(), seen.shared().bytes.in_use())
        };
        let router: Router = Router::new().route("/", post(handler)).layer(admission.bodies());
        let response = router.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let text = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_holds_its_length_until_the_request_is_answered() {
        let admission = admission();
        assert_eq!(send(&admission, Body::from(vec![b'x'; 700])).await, (200, "700 700".into()));
        assert_eq!(send(&admission, Body::empty()).await, (200, "0 0".into()));
        assert_eq!(send(&admission, pieces(7, 100)).await, (200, "700 700".into()), "the rest is given back");
        assert_eq!(send(&admission, pieces(1, 5)).await, (200, "5 5".into()));
        assert_eq!(send(&admission, pieces(0, 0)).await, (200, "0 0".into()));
        assert_eq!(admission.shared().bytes.in_use(), 0);
    }

    #[tokio::test]
    async fn a_body_above_the_cap_is_413_declared_or_not() {
        let admission = admission();
        for body in [Body::from(vec![b'x'; 1_001]), pieces(11, 100), pieces(u32::MAX, 900)] {
            let (status, text) = send(&admission, body).await;
            assert_eq!(status, 413);
            assert!(text.contains("payload_too_large") && text.contains("1000 bytes"), "{text}");
        }
        assert_eq!(send(&admission, Body::from(vec![b'x'; 1_000])).await.0, 200);
        assert_eq!(admission.shared().bytes.in_use(), 0);
    }

    #[tokio::test]
    async fn a_route_may_take_less_than_others() {
        let admission = admission();
        let router: Router =
            Router::new().route("/", post(|_: Bytes| async {})).layer(admission.bodies_up_to(10));
        for (body, status) in [(Body::from("x".repeat(11)), 413), (pieces(2, 6), 413), (pieces(2, 5), 200)] {
            let response = router.clone().oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }

    #[tokio::test]
    async fn a_body_without_a_length_reserves_the_cap_before_a_byte_is_read() {
        let admission = admission();
        let others = admission.shared().bytes.try_acquire_many_owned(600).unwrap();
        assert_eq!(send(&admission, pieces(1, 1)).await.0, 503);
        assert_eq!(send(&admission, Body::from(vec![b'x'; 901])).await.0, 503);
        assert_eq!(send(&admission, Body::from(vec![b'x'; 900])).await.0, 200);
        drop(others);
        assert_eq!(send(&admission, pieces(1, 1)).await.0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_408_and_frees_its_bytes() {
        let admission = admission();
        let (status, text) = send(&admission, Body::new(Pieces { left: 2, size: 10, ends: false })).await;
        assert_eq!(status, 408);
        assert!(text.contains("request_timeout"), "{text}");
        assert_eq!(admission.shared().bytes.in_use(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_while_it_sends_frees_its_bytes() {
        let admission = admission();
        let mut sending = Box::pin(send(&admission, Body::new(Pieces { left: 1, size: 10, ends: false })));
        assert!(std::future::poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())).await);
        assert_eq!(admission.shared().bytes.in_use(), 1_000);
        drop(sending);
        assert_eq!(admission.shared().bytes.in_use(), 0);
    }
}
