//! The bound over the whole server.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::Request;
use plimsoll::Invalid;
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use tower::{Layer, Service};

use super::body::BodiesLayer;
use crate::answer::Answer;
use crate::error::{ApiError, Whose};

/// What the whole server admits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests at once.
    pub requests: u64,
    /// Bytes of request bodies in memory at once.
    pub bytes: u64,
    /// Bytes of one body.
    pub body_bytes_max: u64,
    /// How long a body may take to arrive, from its first byte to its last.
    pub body_timeout: Duration,
}

impl Default for Limits {
    /// 1,024 requests, 128 MiB, 1 MiB, 30 seconds.
    fn default() -> Self {
        Self {
            requests: 1_024,
            bytes: 128 << 20,
            body_bytes_max: 1 << 20,
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// The bound over the whole server; cheap to clone, all clones share one state.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) requests: Semaphore,
    pub(super) bytes: Semaphore,
    pub(super) body_bytes_max: u64,
    pub(super) body_timeout: Duration,
}

impl Admission {
    /// Admits what `limits` say; in the registry as `admission.requests` and `admission.bytes`.
    ///
    /// # Errors
    /// When a limit is zero, or one body can be larger than all bodies together.
    pub fn new(limits: Limits) -> Result<Self, Invalid> {
        let Limits { requests, bytes, body_bytes_max, body_timeout } = limits;
        let requests = Semaphore::builder("admission.requests").limit(requests).build()?;
        let bytes = Semaphore::builder("admission.bytes").limit(bytes).build()?;
        if body_bytes_max == 0 || body_bytes_max > bytes.limit() {
            let allowed = "1 to the bytes of all bodies together";
            return Err(Invalid::new(bytes.name(), "body_bytes_max", body_bytes_max, allowed));
        }
        if body_timeout.is_zero() {
            return Err(Invalid::new(bytes.name(), "body_timeout", "0", "more than nothing"));
        }
        Ok(Self { shared: Arc::new(Shared { requests, bytes, body_bytes_max, body_timeout }) })
    }

    /// The layer that admits requests; put it outside of every other.
    #[must_use]
    pub fn layer(&self) -> AdmissionLayer {
        AdmissionLayer { admission: self.clone() }
    }

    /// The layer that reads bodies, within their bounds, before the handler is called; put it inside
    /// of those that may refuse the request without its body.
    ///
    /// What is reserved is the declared length, or the cap where none is declared until the body is
    /// there; it is given back when the request is answered.
    ///
    /// Small bodies share the connection's read buffer, which is larger than they are: what is kept
    /// after the request must be copied.
    #[must_use]
    pub fn bodies(&self) -> BodiesLayer {
        BodiesLayer { admission: self.clone() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// See [`Admission::layer`].
#[derive(Clone)]
pub struct AdmissionLayer {
    admission: Admission,
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { admission: self.admission.clone(), inner }
    }
}

/// See [`Admission::layer`].
#[derive(Clone)]
pub struct Admit<S> {
    admission: Admission,
    inner: S,
}

impl<S, B> Service<Request<B>> for Admit<S>
where
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answer<S::Future, OwnedPermit>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.admission.shared.requests.try_acquire_owned() {
            Ok(permit) => Answer::inner(self.inner.call(request), permit),
            Err(rejected) => Answer::refused(ApiError::rejected(&rejected, Whose::Ours)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::header::RETRY_AFTER;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    fn request() -> Request<Body> {
        Request::get("/").body(Body::empty()).unwrap()
    }

    /// A router whose one route answers when it is told to.
    fn waiting(admission: &Admission, go: &Arc<Notify>) -> Router {
        let go = Arc::clone(go);
        let handler = move || {
            let go = Arc::clone(&go);
            async move { go.notified().await }
        };
        Router::new().route("/", get(handler)).layer(admission.layer())
    }

    #[tokio::test]
    async fn one_too_many_is_503_at_once_and_the_place_comes_back() {
        let admission = Admission::new(Limits { requests: 1, ..Limits::default() }).unwrap();
        let go = Arc::new(Notify::new());
        let router = waiting(&admission, &go);
        let first = router.clone().oneshot(request());
        tokio::pin!(first);
        assert!(std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
        let refused = router.clone().oneshot(request()).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[RETRY_AFTER]),
            (503, &"1".parse().unwrap())
        );
        go.notify_one();
        assert_eq!(first.await.unwrap().status(), 200);
        go.notify_one();
        assert_eq!(router.oneshot(request()).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_its_place() {
        let admission = Admission::new(Limits { requests: 1, ..Limits::default() }).unwrap();
        let go = Arc::new(Notify::new());
        let mut first = Box::pin(waiting(&admission, &go).oneshot(request()));
        assert!(std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
        assert_eq!(admission.shared().requests.in_use(), 1);
        drop(first);
        assert_eq!(admission.shared().requests.in_use(), 0);
    }

    #[test]
    fn limits_that_cannot_be_are_refused() {
        let good = Limits::default();
        for bad in [
            Limits { requests: 0, ..good },
            Limits { bytes: 0, ..good },
            Limits { body_bytes_max: 0, ..good },
            Limits { bytes: 100, body_bytes_max: 101, ..good },
            Limits { body_timeout: Duration::ZERO, ..good },
        ] {
            assert!(Admission::new(bad).is_err(), "{bad:?}");
        }
    }
}
