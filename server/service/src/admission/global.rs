//! The bound over the whole server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use plimsoll::Invalid;
use plimsoll::semaphore::{OwnedPermit, Semaphore};

use super::body::BodiesLayer;
use crate::error::{ApiError, Whose};
use crate::gate::{Gate, GateLayer};

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
    body_timeout_nanos: AtomicU64,
}

impl Shared {
    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_nanos(self.body_timeout_nanos.load(Ordering::Relaxed))
    }
}

impl Limits {
    fn check(&self, name: plimsoll::Name) -> Result<(), Invalid> {
        if self.body_bytes_max == 0 || self.body_bytes_max > self.bytes {
            let allowed = "1 to the bytes of all bodies together";
            return Err(Invalid::new(name, "body_bytes_max", self.body_bytes_max, allowed));
        }
        if self.body_timeout.is_zero() {
            return Err(Invalid::new(name, "body_timeout", "0", "more than nothing"));
        }
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Admission {
    /// Admits what `limits` say; in the registry as `admission.requests` and `admission.bytes`.
    ///
    /// # Errors
    /// When a limit is zero, or one body can be larger than all bodies together.
    pub fn new(limits: Limits) -> Result<Self, Invalid> {
        let requests = Semaphore::builder("admission.requests").limit(limits.requests).build()?;
        let bytes = Semaphore::builder("admission.bytes").limit(limits.bytes).build()?;
        limits.check(bytes.name())?;
        let body_timeout_nanos = AtomicU64::new(nanos(limits.body_timeout));
        let body_bytes_max = limits.body_bytes_max;
        Ok(Self { shared: Arc::new(Shared { requests, bytes, body_bytes_max, body_timeout_nanos }) })
    }

    /// Puts other limits in force: all but the size of one body, which stays as it is. What was
    /// admitted by the old ones stays.
    ///
    /// # Errors
    /// As [`Admission::new`]; the old limits then stay.
    pub fn resize(&self, limits: Limits) -> Result<(), Invalid> {
        let Shared { requests, bytes, body_bytes_max, body_timeout_nanos } = &*self.shared;
        let limits = Limits { body_bytes_max: *body_bytes_max, ..limits };
        limits.check(bytes.name())?;
        let before = requests.limit();
        requests.resize(limits.requests)?;
        if let Err(invalid) = bytes.resize(limits.bytes) {
            // It was allowed a moment ago.
            let _ = requests.resize(before);
            return Err(invalid);
        }
        body_timeout_nanos.store(nanos(limits.body_timeout), Ordering::Relaxed);
        Ok(())
    }

    /// The layer that admits requests; put it outside of every other.
    #[must_use]
    pub fn layer(&self) -> GateLayer<Self> {
        GateLayer(self.clone())
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
        self.bodies_up_to(self.shared.body_bytes_max)
    }

    /// The same for routes whose bodies are smaller than those of others, and may be held for long.
    #[must_use]
    pub fn bodies_up_to(&self, bytes_max: u64) -> BodiesLayer {
        BodiesLayer { admission: self.clone(), cap: bytes_max.min(self.shared.body_bytes_max) }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Gate for Admission {
    type Held = OwnedPermit;

    fn pass<B>(&self, _: &mut Request<B>) -> Result<OwnedPermit, ApiError> {
        let permit = self.shared.requests.try_acquire_owned();
        permit.map_err(|rejected| ApiError::rejected(&rejected, Whose::Ours))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

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

    #[test]
    fn other_limits_take_effect_at_once_and_those_that_cannot_be_leave_the_old() {
        let admission = Admission::new(Limits { requests: 1, ..Limits::default() }).unwrap();
        let request = &mut request();
        let _first = admission.pass(request).unwrap();
        assert!(admission.pass(request).is_err());
        let more = Limits { requests: 2, body_timeout: Duration::from_secs(7), ..Limits::default() };
        admission.resize(more).unwrap();
        assert_eq!(admission.shared().body_timeout(), Duration::from_secs(7));
        let _second = admission.pass(request).unwrap();
        assert!(admission.pass(request).is_err());
        for bad in [Limits { requests: 0, ..more }, Limits { bytes: 5, requests: 9, ..more }] {
            assert!(admission.resize(bad).is_err(), "{bad:?}");
            assert_eq!(admission.shared().requests.limit(), 2);
        }
    }
}
