//! The whole body of a request, in memory that was reserved for it.

use std::fmt;
use std::ops::Deref;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use plimsoll::semaphore::{OwnedPermit, Semaphore};

use super::global::Admission;
use crate::error::{ApiError, Whose};

/// The whole body of a request, and its share of the bytes that all bodies may take.
///
/// Taken by handlers as their last argument. What is reserved is the declared length, or the cap
/// where none is declared until the body is there. The share is given back when this is dropped:
/// keep it for as long as the bytes are in use.
///
/// Bytes sliced from it share the connection's read buffer, which is larger than a small body: what
/// is kept after the request must be copied.
///
/// Refuses with 413 above the cap, 503 (`Retry-After`) when all bodies together would take too
/// much, 408 when the body takes too long, 400 when it ends early.
pub struct WholeBody {
    bytes: Bytes,
    _share: Option<OwnedPermit>,
}

impl WholeBody {
    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for WholeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: they are a customer's.
        write!(f, "WholeBody({} bytes)", self.bytes.len())
    }
}

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, ApiError> {
        let Some(admission) = request.extensions_mut().remove::<Admission>() else {
            // A route outside of the layer: our bug, and still no body is read without a bound.
            return Err(ApiError::internal("The route admits no bodies"));
        };
        let shared = admission.shared();
        let cap = shared.body_bytes_max;
        let body = request.into_body();
        let declared = body.size_hint().exact();
        let mut share = reserve(&shared.bytes, declared, cap)?;
        let bytes = match tokio::time::timeout(shared.body_timeout, collect(body, declared, cap)).await {
            Ok(bytes) => bytes?,
            Err(_) => return Err(too_slow()),
        };
        let unused = share.as_ref().map_or(0, |share| share.permits() - bytes.len() as u64);
        if bytes.is_empty() {
            share = None;
        } else if let Some(share) = &mut share
            && unused > 0
        {
            drop(share.split(unused));
        }
        Ok(Self { bytes, _share: share })
    }
}

/// Takes the declared length, or the cap where there is none, out of what all bodies may take.
fn reserve(all: &Semaphore, declared: Option<u64>, cap: u64) -> Result<Option<OwnedPermit>, ApiError> {
    match declared {
        Some(0) => Ok(None),
        Some(length) if length > cap => Err(too_large(cap)),
        length => all
            .try_acquire_many_owned(length.unwrap_or(cap))
            .map(Some)
            .map_err(|rejected| ApiError::rejected(&rejected, Whose::Ours)),
    }
}

async fn collect(mut body: Body, declared: Option<u64>, cap: u64) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers mean nothing here.
        let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
        if (first.len() + rest.len() + data.len()) as u64 > cap {
            return Err(too_large(cap));
        }
        if rest.is_empty() && first.is_empty() {
            // Most bodies are one piece, which is then not copied.
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(declared.map_or(first.len() + data.len(), |declared| declared as usize));
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(cap: u64) -> ApiError {
    let detail = format!("The body is larger than {cap} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

fn too_slow() -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body took too long to arrive")
}

fn broken() -> ApiError {
    ApiError::bad_request("bad_request", "The body ended early or is not well formed")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

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

    /// Answers with the length of the body and how many bytes were reserved while it was held.
    fn router(admission: &Admission) -> Router {
        let seen = admission.clone();
        let handler = move |body: WholeBody| async move {
            assert!(body.iter().all(|byte| *byte == b'x'));
            format!("{} {}", body.len(), seen.shared().bytes.in_use())
        };
        Router::new().route("/", post(handler)).layer(admission.layer())
    }

    async fn send(admission: &Admission, body: Body) -> (u16, String) {
        let request = Request::post("/").body(body).unwrap();
        let response = router(admission).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let text = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_body_holds_its_length_until_it_is_dropped() {
        let admission = admission();
        assert_eq!(send(&admission, Body::from(vec![b'x'; 700])).await, (200, "700 700".into()));
        assert_eq!(send(&admission, Body::empty()).await, (200, "0 0".into()));
        assert_eq!(send(&admission, pieces(7, 100)).await, (200, "700 700".into()), "the rest is given back");
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
        assert_eq!(Limits::default().body_timeout, Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_route_outside_of_admission_reads_no_body() {
        let router: Router = Router::new().route("/", post(|_: WholeBody| async {}));
        let response = router.oneshot(Request::post("/").body(Body::from("x")).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
    }
}
