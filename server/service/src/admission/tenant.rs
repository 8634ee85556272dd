//! The bound over each organisation.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{Extensions, Request};
use plimsoll::keyed::Keyed;
use plimsoll::rate::{Quota, RateLimiter};
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use plimsoll::{Invalid, Reason, Rejected};
use tower::{Layer, Service};

use crate::answer::Answer;
use crate::error::{ApiError, Whose};

/// After how long without a request an organisation is forgotten.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// What one organisation may do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TenantLimits {
    /// Requests at once.
    pub requests: u64,
    /// Requests a second, if they are bounded.
    pub rate: Option<Quota>,
    /// How many organisations are kept track of at once.
    pub tenants_max: usize,
}

impl Default for TenantLimits {
    /// 256 requests at once, any rate, 100,000 organisations.
    fn default() -> Self {
        Self { requests: 256, rate: None, tenants_max: 100_000 }
    }
}

/// The bounds over each organisation; cheap to clone, all clones share one state.
#[derive(Clone)]
pub struct Tenants {
    requests: Keyed<String, Semaphore>,
    rate: Option<Keyed<String, RateLimiter>>,
}

/// Whose request it is, by what the layers before this one put into its extensions.
pub type TenantOf = fn(&Extensions) -> Option<&Arc<str>>;

impl Tenants {
    /// Admits what `limits` say of each; in the registry as `tenant.requests` and `tenant.rate`.
    ///
    /// # Errors
    /// When a limit is out of its range.
    pub fn new(limits: TenantLimits) -> Result<Self, Invalid> {
        let TenantLimits { requests, rate, tenants_max } = limits;
        // Refused here, not at the first request.
        Semaphore::new(requests)?;
        rate.map(RateLimiter::new).transpose()?;
        let requests = Keyed::builder("tenant.requests", move |_: &String| Semaphore::new(requests))
            .keys_max(tenants_max)
            .idle_after(IDLE_AFTER)
            .build()?;
        let rate = rate.map(|quota| {
            Keyed::builder("tenant.rate", move |_: &String| RateLimiter::new(quota))
                .keys_max(tenants_max)
                .idle_after(IDLE_AFTER)
                .build()
        });
        Ok(Self { requests, rate: rate.transpose()? })
    }

    /// Admits one request of `tenant` for as long as the permit is held, now or not at all.
    ///
    /// # Errors
    /// 429 when it is over its limit; 503 when too many others are kept track of.
    pub fn try_admit(&self, tenant: &str) -> Result<OwnedPermit, ApiError> {
        let permit = self.requests.try_acquire(tenant).map_err(|rejected| refusal(&rejected))?;
        if let Some(rate) = &self.rate {
            // After the other: what is refused for being too many at once spends none of the rate.
            rate.try_acquire(tenant).map_err(|rejected| refusal(&rejected))?;
        }
        Ok(permit)
    }

    /// The layer that admits requests of the tenant that `of` finds; put it inside of the one that
    /// authenticates.
    #[must_use]
    pub fn layer(&self, of: TenantOf) -> TenantsLayer {
        TenantsLayer { tenants: self.clone(), of }
    }
}

fn refusal(rejected: &Rejected) -> ApiError {
    // All places taken by others is not this caller's doing.
    let whose = if rejected.reason() == Reason::KeysFull { Whose::Ours } else { Whose::Caller };
    ApiError::rejected(rejected, whose)
}

/// See [`Tenants::layer`].
#[derive(Clone)]
pub struct TenantsLayer {
    tenants: Tenants,
    of: TenantOf,
}

impl<S> Layer<S> for TenantsLayer {
    type Service = AdmitTenant<S>;

    fn layer(&self, inner: S) -> AdmitTenant<S> {
        AdmitTenant { tenants: self.tenants.clone(), of: self.of, inner }
    }
}

/// See [`Tenants::layer`].
#[derive(Clone)]
pub struct AdmitTenant<S> {
    tenants: Tenants,
    of: TenantOf,
    inner: S,
}

impl<S, B> Service<Request<B>> for AdmitTenant<S>
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
        let Some(tenant) = (self.of)(request.extensions()) else {
            // Only where the layers are in the wrong order: our bug, and nobody passes unbounded.
            return Answer::refused(ApiError::internal("The route does not know its caller"));
        };
        match self.tenants.try_admit(tenant) {
            Ok(permit) => Answer::inner(self.inner.call(request), permit),
            Err(error) => Answer::refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::header::RETRY_AFTER;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn one_organisation_over_its_limit_costs_the_others_nothing() {
        let tenants = Tenants::new(TenantLimits { requests: 2, ..TenantLimits::default() }).unwrap();
        let held = (tenants.try_admit("org_a").unwrap(), tenants.try_admit("org_a").unwrap());
        let refused = tenants.try_admit("org_a").unwrap_err();
        assert_eq!(refused.status(), 429);
        assert!(refused.to_string().contains("2 of 2 in use"), "{refused}");
        assert!(tenants.try_admit("org_b").is_ok());
        drop(held);
        assert!(tenants.try_admit("org_a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn over_its_rate_it_is_told_when_to_come_back() {
        let rate = Some(Quota::per_minute(2).burst(2));
        let tenants = Tenants::new(TenantLimits { rate, ..TenantLimits::default() }).unwrap();
        assert!(tenants.try_admit("org_a").is_ok() && tenants.try_admit("org_a").is_ok());
        let refused = tenants.try_admit("org_a").unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (429, "rate_limited"));
        assert_eq!(refused.into_response().headers()[RETRY_AFTER], "30");
        assert!(tenants.try_admit("org_b").is_ok());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(tenants.try_admit("org_a").is_ok());
    }

    #[test]
    fn when_too_many_are_kept_track_of_it_is_our_fault() {
        let tenants = Tenants::new(TenantLimits { tenants_max: 1, ..TenantLimits::default() }).unwrap();
        let _held = tenants.try_admit("org_a").unwrap();
        assert_eq!(tenants.try_admit("org_b").unwrap_err().status(), 503);
    }

    #[test]
    fn limits_that_cannot_be_are_refused_where_they_are_made() {
        assert!(Tenants::new(TenantLimits { requests: 0, ..TenantLimits::default() }).is_err());
        assert!(Tenants::new(TenantLimits { tenants_max: 0, ..TenantLimits::default() }).is_err());
    }

    #[tokio::test]
    async fn a_request_of_nobody_does_not_pass() {
        let tenants = Tenants::new(TenantLimits::default()).unwrap();
        let router: Router = Router::new().route("/", get(|| async {})).layer(tenants.layer(Extensions::get));
        let request = || Request::get("/").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request()).await.unwrap().status(), 500);
        let mut known = request();
        known.extensions_mut().insert(Arc::<str>::from("org_a"));
        assert_eq!(router.oneshot(known).await.unwrap().status(), 200);
    }
}
