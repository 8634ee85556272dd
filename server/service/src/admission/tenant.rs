//! The bounds over each organisation.
//!
//! # Invariants
//! - An organisation follows a change of its limits at its next request: its limiters compare the
//!   version they have seen with the one in force, which costs one load.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Extensions, Request};
use plimsoll::clock::Instant;
use plimsoll::keyed::Keyed;
use plimsoll::limiter::Limiter;
use plimsoll::rate::{Quota, RateLimiter};
use plimsoll::semaphore::{OwnedPermit, Semaphore};
use plimsoll::{Invalid, Reason, Rejected};

use crate::error::{ApiError, Whose};
use crate::gate::{Gate, GateLayer};

/// After how long without a request an organisation is forgotten.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// What one organisation may do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TenantLimits {
    /// Requests at once.
    pub requests: u64,
    /// Requests a second, if they are bounded.
    pub rate: Option<Quota>,
}

impl Default for TenantLimits {
    /// 256 requests at once, any rate.
    fn default() -> Self {
        Self { requests: 256, rate: None }
    }
}

impl TenantLimits {
    fn quota(&self) -> Quota {
        self.rate.unwrap_or(Quota::unlimited())
    }

    fn check(&self) -> Result<(), Invalid> {
        Semaphore::new(self.requests)?;
        RateLimiter::new(self.quota()).map(drop)
    }
}

/// What each organisation may do: all the same, but for those that differ.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct TenantTable {
    /// Of those that are not named.
    pub others: TenantLimits,
    /// Of those that are.
    pub named: HashMap<String, TenantLimits>,
}

impl From<TenantLimits> for TenantTable {
    fn from(others: TenantLimits) -> Self {
        Self { others, named: HashMap::new() }
    }
}

impl TenantTable {
    fn check(&self) -> Result<(), Invalid> {
        self.named.values().chain([&self.others]).try_for_each(TenantLimits::check)
    }

    fn of(&self, org: &str) -> TenantLimits {
        self.named.get(org).copied().unwrap_or(self.others)
    }

    fn has_rates(&self) -> bool {
        self.named.values().chain([&self.others]).any(|limits| limits.rate.is_some())
    }
}

/// The table in force.
struct InForce {
    table: RwLock<TenantTable>,
    // From 1, so that a limiter that has seen nothing follows at once.
    version: AtomicU64,
}

/// A limiter of one organisation that follows the table.
trait Follow: Limiter {
    fn follow(&self, limits: TenantLimits) -> Result<(), Invalid>;
}

impl Follow for Semaphore {
    fn follow(&self, limits: TenantLimits) -> Result<(), Invalid> {
        self.resize(limits.requests)
    }
}

impl Follow for RateLimiter {
    fn follow(&self, limits: TenantLimits) -> Result<(), Invalid> {
        self.set_quota(limits.quota())
    }
}

#[derive(Clone)]
struct Following<L> {
    org: Arc<str>,
    limiter: L,
    seen: Arc<AtomicU64>,
    in_force: Arc<InForce>,
}

impl<L: Follow> Following<L> {
    fn new(
        org: &str,
        in_force: &Arc<InForce>,
        make: fn(TenantLimits) -> Result<L, Invalid>,
    ) -> Result<Self, Invalid> {
        let seen = in_force.version.load(Ordering::Acquire);
        let limiter = make(in_force.of(org))?;
        Ok(Self {
            org: org.into(),
            limiter,
            seen: Arc::new(AtomicU64::new(seen)),
            in_force: Arc::clone(in_force),
        })
    }

    fn catch_up(&self) {
        let version = self.in_force.version.load(Ordering::Acquire);
        if self.seen.swap(version, Ordering::Relaxed) != version {
            let followed = self.limiter.follow(self.in_force.of(&self.org));
            debug_assert!(followed.is_ok(), "a table is checked before it is in force");
        }
    }
}

impl InForce {
    fn of(&self, org: &str) -> TenantLimits {
        self.table.read().unwrap_or_else(PoisonError::into_inner).of(org)
    }
}

impl<L: Follow> Limiter for Following<L> {
    type Permit = L::Permit;

    fn try_acquire_owned_at(&self, now: Instant) -> Result<L::Permit, Rejected> {
        self.catch_up();
        self.limiter.try_acquire_owned_at(now)
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        self.limiter.is_forgettable(now)
    }
}

/// The bounds over each organisation; cheap to clone, all clones share one state.
#[derive(Clone)]
pub struct Tenants {
    requests: Keyed<String, Following<Semaphore>>,
    rate: Keyed<String, Following<RateLimiter>>,
    has_rates: Arc<AtomicBool>,
    in_force: Arc<InForce>,
}

/// Whose request it is, by what the layers before this one put into its extensions.
pub type TenantOf = fn(&Extensions) -> Option<&Arc<str>>;

impl Tenants {
    /// Admits what `table` says of each, and keeps track of `tenants_max` at once; in the registry
    /// as `tenant.requests` and `tenant.rate`.
    ///
    /// # Errors
    /// When a limit is out of its range.
    pub fn new(table: impl Into<TenantTable>, tenants_max: usize) -> Result<Self, Invalid> {
        let table = table.into();
        // Refused here, not at the first request.
        table.check()?;
        let has_rates = Arc::new(table.has_rates().into());
        let in_force = Arc::new(InForce { table: RwLock::new(table), version: AtomicU64::new(1) });
        let seen = Arc::clone(&in_force);
        let make = move |org: &String| Following::new(org, &seen, |limits| Semaphore::new(limits.requests));
        let requests =
            Keyed::builder("tenant.requests", make).keys_max(tenants_max).idle_after(IDLE_AFTER).build()?;
        let seen = Arc::clone(&in_force);
        let make = move |org: &String| Following::new(org, &seen, |limits| RateLimiter::new(limits.quota()));
        let rate =
            Keyed::builder("tenant.rate", make).keys_max(tenants_max).idle_after(IDLE_AFTER).build()?;
        Ok(Self { requests, rate, has_rates, in_force })
    }

    /// Puts another table in force, for the next request of each. What was admitted stays.
    ///
    /// # Errors
    /// When a limit is out of its range; the old table then stays.
    pub fn replace(&self, table: impl Into<TenantTable>) -> Result<(), Invalid> {
        let table = table.into();
        table.check()?;
        self.has_rates.store(table.has_rates(), Ordering::Relaxed);
        *self.in_force.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        // After the table: whoever sees the new version finds the new table.
        self.in_force.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Admits one request of `tenant` for as long as the permit is held, now or not at all.
    ///
    /// # Errors
    /// 429 when it is over its limit; 503 when too many others are kept track of.
    pub fn try_admit(&self, tenant: &str) -> Result<OwnedPermit, ApiError> {
        let permit = self.requests.try_acquire(tenant).map_err(|rejected| refusal(&rejected))?;
        // After the other: what is refused for being too many at once spends none of the rate.
        self.try_admit_waiting(tenant)?;
        Ok(permit)
    }

    /// Admits one request of `tenant` that may wait for long, and whose number at once is bounded
    /// elsewhere: by its rate alone.
    ///
    /// # Errors
    /// As [`Tenants::try_admit`].
    pub fn try_admit_waiting(&self, tenant: &str) -> Result<(), ApiError> {
        if self.has_rates.load(Ordering::Relaxed) {
            self.rate.try_acquire(tenant).map_err(|rejected| refusal(&rejected))?;
        }
        Ok(())
    }

    /// The layer that admits requests of the tenant that `of` finds; put it inside of the one that
    /// authenticates.
    #[must_use]
    pub fn layer(&self, of: TenantOf) -> GateLayer<TenantGate> {
        GateLayer(TenantGate { tenants: self.clone(), of })
    }

    /// The same for requests that wait, see [`Tenants::try_admit_waiting`].
    #[must_use]
    pub fn waiting_layer(&self, of: TenantOf) -> GateLayer<WaitingGate> {
        GateLayer(WaitingGate { tenants: self.clone(), of })
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").field("requests", &self.requests).finish_non_exhaustive()
    }
}

fn refusal(rejected: &Rejected) -> ApiError {
    // All places taken by others is not this caller's doing.
    let whose = if rejected.reason() == Reason::KeysFull { Whose::Ours } else { Whose::Caller };
    ApiError::rejected(rejected, whose)
}

/// See [`Tenants::layer`].
#[derive(Clone)]
pub struct TenantGate {
    tenants: Tenants,
    of: TenantOf,
}

/// See [`Tenants::waiting_layer`].
#[derive(Clone)]
pub struct WaitingGate {
    tenants: Tenants,
    of: TenantOf,
}

fn found<B>(request: &Request<B>, of: TenantOf) -> Result<&Arc<str>, ApiError> {
    // Only where the layers are in the wrong order: our bug, and nobody passes unbounded.
    of(request.extensions()).ok_or_else(|| ApiError::internal("The route does not know its caller"))
}

impl Gate for TenantGate {
    type Held = OwnedPermit;

    fn pass<B>(&self, request: &mut Request<B>) -> Result<OwnedPermit, ApiError> {
        self.tenants.try_admit(found(request, self.of)?)
    }
}

impl Gate for WaitingGate {
    type Held = ();

    fn pass<B>(&self, request: &mut Request<B>) -> Result<(), ApiError> {
        self.tenants.try_admit_waiting(found(request, self.of)?)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use http::header::RETRY_AFTER;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn one_organisation_over_its_limit_costs_the_others_nothing() {
        let tenants = Tenants::new(TenantLimits { requests: 2, ..TenantLimits::default() }, 100).unwrap();
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
        let tenants = Tenants::new(TenantLimits { rate, ..TenantLimits::default() }, 100).unwrap();
        assert!(tenants.try_admit("org_a").is_ok() && tenants.try_admit("org_a").is_ok());
        let refused = tenants.try_admit("org_a").unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (429, "rate_limited"));
        assert_eq!(refused.into_response().headers()[RETRY_AFTER], "30");
        assert!(tenants.try_admit("org_b").is_ok());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(tenants.try_admit("org_a").is_ok());
    }

    #[test]
    fn who_waits_takes_no_place_but_its_rate() {
        let rate = Some(Quota::per_minute(2).burst(2));
        let tenants = Tenants::new(TenantLimits { requests: 1, rate }, 100).unwrap();
        let _held = tenants.try_admit("org_a").unwrap();
        tenants.try_admit_waiting("org_a").unwrap();
        assert_eq!(tenants.try_admit_waiting("org_a").unwrap_err().code(), "rate_limited");
        assert!(tenants.try_admit_waiting("org_b").is_ok());
    }

    #[test]
    fn when_too_many_are_kept_track_of_it_is_our_fault() {
        let tenants = Tenants::new(TenantLimits::default(), 1).unwrap();
        let _held = tenants.try_admit("org_a").unwrap();
        assert_eq!(tenants.try_admit("org_b").unwrap_err().status(), 503);
    }

    #[test]
    fn limits_that_cannot_be_are_refused_where_they_are_made() {
        assert!(Tenants::new(TenantLimits { requests: 0, ..TenantLimits::default() }, 100).is_err());
        assert!(Tenants::new(TenantLimits::default(), 0).is_err());
    }

    #[tokio::test]
    async fn a_request_of_nobody_does_not_pass() {
        let tenants = Tenants::new(TenantLimits::default(), 100).unwrap();
        let router: Router = Router::new().route("/", get(|| async {})).layer(tenants.layer(Extensions::get));
        let request = || Request::get("/").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request()).await.unwrap().status(), 500);
        let mut known = request();
        known.extensions_mut().insert(Arc::<str>::from("org_a"));
        assert_eq!(router.oneshot(known).await.unwrap().status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replaced_table_holds_for_the_next_request_of_those_who_were_seen_and_of_others() {
        let tenants = Tenants::new(TenantLimits { requests: 1, rate: None }, 100).unwrap();
        let _one = tenants.try_admit("org_a").unwrap();
        assert!(tenants.try_admit("org_a").is_err());
        let rate = Some(Quota::per_second(1).burst(1));
        let named = HashMap::from([
            ("org_a".to_owned(), TenantLimits { requests: 2, rate: None }),
            ("org_slow".to_owned(), TenantLimits { requests: 9, rate }),
        ]);
        let table = TenantTable { others: TenantLimits { requests: 1, rate: None }, named };
        tenants.replace(table.clone()).unwrap();
        let _two = tenants.try_admit("org_a").unwrap();
        assert!(tenants.try_admit("org_a").is_err());
        assert!(tenants.try_admit("org_slow").is_ok());
        assert_eq!(tenants.try_admit("org_slow").unwrap_err().code(), "rate_limited");
        assert!((0..50).all(|_| tenants.try_admit("org_free").is_ok()), "no rate for the others");
        let bad = TenantTable { others: TenantLimits { requests: 0, rate: None }, ..table };
        assert!(tenants.replace(bad).is_err());
        assert_eq!(tenants.try_admit("org_slow").unwrap_err().code(), "rate_limited", "the old stays");
        tenants.replace(TenantLimits { requests: 1, rate: None }).unwrap();
        assert!((0..50).all(|_| tenants.try_admit("org_slow").is_ok()), "its rate was taken back");
    }
}
