//! Evenly spaced admission with a short, bounded line: a leaky bucket used as a meter.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll::rate::{Leaky, Quota};
//!
//! // One every 10 seconds, never two at once; no more than 3 wait, so that nobody waits longer than
//! // half a minute.
//! let sms = Leaky::builder("sms-gateway").quota(Quota::per_minute(6)).queue(3).build()?;
//! sms.acquire().await?; // the first need not wait
//! let refused = sms.try_acquire().unwrap_err();
//! assert!(refused.retry_after().unwrap() <= std::time::Duration::from_secs(10));
//! # Ok(()) }
//! ```
//!
//! # Which one?
//!
//! Use [`Leaky`] where two at once are one too many, and a caller is better refused than left to
//! wait long: a device, a modem, a partner that counts the time between two requests. Use
//! [`RateLimiter`] where a burst does no harm, or asking for more than one.
//!
//! It is the token bucket with a burst of one, and a bound on the line before it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::RateLimiter;
use super::quota::Quota;
use super::reservation::Reservation;
use super::state::State;
use crate::clock::Instant;
use crate::limiter::{Limiter, Observable, Waiting};
use crate::registry::Snapshot;
use crate::{Invalid, Name, Rejected, registry};

/// The longest line that can be asked for.
const QUEUE_MAX: u64 = 1 << 20;

/// One admission per interval, in order, and no more than so many that wait; a cheap handle, whose
/// clones share one state.
///
/// See the [module](crate::rate::leaky) for when to use it, and [`rate`](crate::rate) for exactness.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::rate::{Leaky, Quota};
/// let partner = Leaky::builder("partner").quota(Quota::per_second(1_000)).queue(50).build()?;
/// let began = std::time::Instant::now();
/// for _ in 0..4 {
///     partner.acquire().await?; // one each millisecond, no burst
/// }
/// assert!(began.elapsed().as_millis() >= 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Leaky(RateLimiter);

/// Builds a [`Leaky`] bucket with a name; made by [`Leaky::builder`].
///
/// ```
/// use plimsoll::rate::{Leaky, Quota};
/// let partner = Leaky::builder("partner").quota(Quota::per_second(100)).queue(50).build()?;
/// assert_eq!((partner.queue_max(), partner.waiting()), (50, 0));
/// let refused = Leaky::builder("partner").quota(Quota::per_second(100)).build().unwrap_err();
/// assert_eq!(refused.to_string(), "partner: queue is not set, allowed is 0 (nobody waits) to 1,048,576");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    quota: Option<Quota>,
    queue: Option<u64>,
    enforced_ratio: f64,
}

impl Builder {
    /// The rate; its burst is not looked at. There is no default.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::builder("partner-quota").quota(Quota::per_minute(60).burst(20)).queue(3).build()?;
    /// assert_eq!(partner.quota(), Quota::per_minute(60).burst(1)); // one a second, never two at once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// How many may wait: 0 (nobody) to 1,048,576. There is no default. With a rate of 100 a second
    /// and a queue of 50 nobody waits longer than half a second.
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Leaky, Quota}};
    /// let nobody_waits = Leaky::builder("partner-queue").quota(Quota::per_hour(1)).queue(0).build()?;
    /// nobody_waits.try_acquire()?;
    /// assert_eq!(nobody_waits.try_acquire().unwrap_err().reason(), Reason::RateExceeded);
    /// assert!(Leaky::builder("partner-queue").quota(Quota::per_hour(1)).queue(1_048_577).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn queue(mut self, queue: u64) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Which share of its rejections, and of its making wait, it carries out, 0 (it only counts them)
    /// to 1; 1 by default.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let tried_out = Leaky::builder("partner-tried-out")
    ///     .quota(Quota::per_hour(1)).queue(0).enforced_ratio(0.0).build()?;
    /// assert!(tried_out.try_acquire().is_ok() && tried_out.try_acquire().is_ok());
    /// assert_eq!(tried_out.snapshot().would_reject, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn enforced_ratio(mut self, ratio: f64) -> Self {
        self.enforced_ratio = ratio;
        self
    }

    /// Makes the bucket and puts it into the [registry].
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, the quota or the queue was not set or is out
    /// of its range, or the enforced ratio is not 0 to 1.
    ///
    /// ```
    /// use plimsoll::{registry, rate::{Leaky, Quota}};
    /// let partner = Leaky::builder("partner-built").quota(Quota::per_minute(60)).queue(3).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == partner.name()));
    /// assert_eq!(Leaky::builder("partner-built").queue(3).build().unwrap_err().field(), "quota"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Leaky, Invalid> {
        let name = Name::new(&self.name)?;
        let allowed = "a rate, Quota::none() or Quota::unlimited()";
        let quota = self.quota.ok_or_else(|| Invalid::new(name, "quota", "not set", allowed))?;
        let queue = self.queue.ok_or_else(|| Invalid::new(name, "queue", "not set", QUEUE_ALLOWED))?;
        let quota = check(name, quota, queue)?;
        let state = Arc::new_cyclic(|state: &Weak<State>| {
            State::leaky(name, quota, queue, Some(registry::register(state.clone())))
        });
        state.rebase_enforced_ratio(self.enforced_ratio)?;
        Ok(Leaky(RateLimiter(state)))
    }
}

const QUEUE_ALLOWED: &str = "0 (nobody waits) to 1,048,576";

fn check(name: Name, quota: Quota, queue: u64) -> Result<Quota, Invalid> {
    if queue > QUEUE_MAX {
        return Err(Invalid::new(name, "queue", queue, QUEUE_ALLOWED));
    }
    let even = quota.burst(1);
    even.check(name)?;
    Ok(even)
}

/// Making, seeing and changing.
impl Leaky {
    /// A bucket without a name that nobody sees in the [registry]: a value of a
    /// [keyed](crate::keyed) limiter, or a part of another bound. `queue` is how many may wait.
    ///
    /// # Errors
    /// When the quota is out of its range, or the queue above 1,048,576.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let hourly = Leaky::new(Quota::per_hour(1), 0)?;
    /// assert!(hourly.try_acquire().is_ok() && hourly.try_acquire().is_err());
    /// # Ok::<(), plimsoll::Invalid>(())
    /// ```
    pub fn new(quota: Quota, queue: u64) -> Result<Self, Invalid> {
        let quota = check(Name::UNNAMED, quota, queue)?;
        Ok(Self(RateLimiter(Arc::new(State::leaky(Name::UNNAMED, quota, queue, None)))))
    }

    /// Begins a bucket that an operator sees under `name`.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::builder("partner-api").quota(Quota::per_second(100)).queue(0).build()?;
    /// assert_eq!((partner.name().as_str(), partner.quota()), ("partner-api", Quota::per_second(100).burst(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(name: &str) -> Builder {
        Builder { name: name.into(), quota: None, queue: None, enforced_ratio: 1.0 }
    }

    /// The name it was built with.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::builder("partner-name").quota(Quota::per_minute(60)).queue(3).build()?;
    /// assert_eq!(partner.name().as_str(), "partner-name");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// The quota in force, with a burst of 1.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_minute(60), 3)?;
    /// assert_eq!(partner.quota().burst_max(), 1);
    /// partner.set_quota(Quota::per_minute(30))?;
    /// assert_eq!(partner.quota(), Quota::per_minute(30).burst(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.0.quota()
    }

    /// How many may wait.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// assert_eq!(Leaky::new(Quota::per_minute(60), 3)?.queue_max(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn queue_max(&self) -> u64 {
        self.0.0.queue_max().unwrap_or(QUEUE_MAX)
    }

    /// How many callers wait; not those who hold a [`Reservation`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_minute(60), 3)?;
    /// partner.acquire().await?;
    /// let (second, waiting) = tokio::join!(partner.acquire(), async { partner.waiting() });
    /// second?;
    /// assert_eq!((waiting, partner.waiting()), (1, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    /// The numbers as they are now: the limit is one, and one is in use until the next slot.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_hour(1), 3)?;
    /// partner.try_acquire()?;
    /// let now = partner.snapshot();
    /// assert_eq!((now.limit, now.in_use, now.admitted), (1, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Changes the rate, for all clones; whoever waits keeps the place and waits for the new rate.
    ///
    /// # Errors
    /// When the quota is out of its range; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_hour(1), 10)?;
    /// partner.set_quota(Quota::per_minute(1))?;
    /// partner.try_acquire()?;
    /// assert_eq!(partner.reserve()?.delay().as_secs_f64().round(), 60.0);
    /// assert!(partner.set_quota(Quota::per_minute(0)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), Invalid> {
        self.0.set_quota(quota.burst(1))
    }

    /// From now on counts what it would reject or make wait, and admits everything, at once; see
    /// [`RateLimiter::observe`]. Nobody waits then, so that the queue stays empty.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_hour(1), 0)?;
    /// partner.observe();
    /// assert!(partner.try_acquire().is_ok() && partner.try_acquire().is_ok());
    /// assert_eq!(partner.snapshot().would_reject, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observe(&self) {
        self.0.observe();
    }

    /// Which share of its rejections, and of its making wait, it carries out; see
    /// [`RateLimiter::set_enforced_ratio`].
    ///
    /// # Errors
    /// When `ratio` is not 0 to 1; nothing has changed then.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_hour(1), 0)?;
    /// partner.set_enforced_ratio(0.0)?;
    /// assert!(partner.try_acquire().is_ok() && partner.try_acquire().is_ok());
    /// partner.set_enforced_ratio(1.0)?;
    /// assert!(partner.try_acquire().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    /// The share of its rejections that it carries out.
    ///
    /// ```
    /// use plimsoll::rate::{Leaky, Quota};
    /// let partner = Leaky::new(Quota::per_hour(1), 3)?;
    /// assert_eq!(partner.enforced_ratio(), 1.0);
    /// partner.set_enforced_ratio(0.1)?;
    /// assert_eq!(partner.enforced_ratio(), 0.1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }
}

/// Admission.
impl Leaky {
    /// Admits when the slot is now, and nobody waits for it.
    ///
    /// # Errors
    /// [`Reason::RateExceeded`](crate::Reason::RateExceeded) with the time to the next slot that is
    /// free; [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is [`Quota::none`].
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Leaky, Quota}};
    /// let partner = Leaky::new(Quota::per_minute(60), 10)?;
    /// partner.try_acquire()?;
    /// let refused = partner.try_acquire().unwrap_err();
    /// assert_eq!((refused.reason(), refused.waiting()), (Reason::RateExceeded, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Rejected> {
        self.0.try_acquire()
    }

    /// As [`try_acquire`](Self::try_acquire), for a caller that has read the clock already.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, rate::{Leaky, Quota}};
    /// let partner = Leaky::new(Quota::per_minute(60), 10)?;
    /// let now = clock::now();
    /// assert!(partner.try_acquire_at(now).is_ok() && partner.try_acquire_at(now).is_err());
    /// assert!(partner.try_acquire_at(now.after(Duration::from_secs(1))).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_at(&self, now: Instant) -> Result<(), Rejected> {
        self.0.try_acquire_at(now)
    }

    /// Waits for this caller's slot.
    ///
    /// # Errors
    /// [`Reason::QueueFull`](crate::Reason::QueueFull), at once, when as many slots ahead are taken as
    /// may wait, with the time until there is a place;
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) when the quota is, or becomes, [`Quota::none`].
    ///
    /// # Panics
    /// When it has to wait outside of a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line and takes no slot; those behind move up.
    ///
    /// # Fairness
    /// First come, first served, from the first poll on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, rate::{Leaky, Quota}};
    /// let partner = Leaky::new(Quota::per_second(1_000), 1)?;
    /// partner.acquire().await?;
    /// let both = tokio::join!(partner.acquire(), partner.acquire()); // one waits, the queue holds no other
    /// assert!(both.0.is_ok());
    /// assert_eq!(both.1.unwrap_err().reason(), Reason::QueueFull);
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<(), Rejected> {
        self.0.acquire().await
    }

    /// Waits for this caller's slot if that is `within` this time.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), and as [`RateLimiter::acquire_within`].
    ///
    /// # Panics
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, rate::{Leaky, Quota}};
    /// let partner = Leaky::new(Quota::per_hour(1), 10)?;
    /// partner.acquire().await?;
    /// let refused = partner.acquire_within(Duration::from_secs(1)).await.unwrap_err();
    /// assert_eq!(refused.reason(), Reason::RateExceeded); // at once: its turn is in an hour
    /// # Ok(()) }
    /// ```
    pub async fn acquire_within(&self, within: Duration) -> Result<(), Rejected> {
        self.0.acquire_within(1, within).await
    }

    /// Takes the next slot that is free and tells when it is; it counts as one that waits.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Fairness
    /// As [`RateLimiter::reserve`].
    ///
    /// ```
    /// use plimsoll::{Reason, rate::{Leaky, Quota}};
    /// let hourly = Leaky::new(Quota::per_hour(1), 1)?;
    /// let (now, next) = (hourly.reserve()?, hourly.reserve()?);
    /// assert!(now.delay().is_zero() && next.delay().as_secs() >= 3_599);
    /// assert_eq!(hourly.reserve().unwrap_err().reason(), Reason::QueueFull);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> Result<Reservation, Rejected> {
        self.0.reserve()
    }
}

impl Limiter for Leaky {
    type Permit = ();

    fn try_acquire_owned_at(&self, now: Instant) -> Result<(), Rejected> {
        self.try_acquire_at(now)
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        self.0.is_forgettable(now)
    }
}

impl Waiting for Leaky {
    async fn acquire_owned(&self) -> Result<(), Rejected> {
        self.acquire().await
    }
}

impl Observable for Leaky {
    fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.set_enforced_ratio(ratio)
    }

    fn enforced_ratio(&self) -> f64 {
        self.0.enforced_ratio()
    }

    fn rebase_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.0.rebase_enforced_ratio(ratio)
    }

    fn would_reject(&self) -> u64 {
        self.0.would_reject()
    }
}

impl fmt::Debug for Leaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaky")
            .field("name", &self.name())
            .field("queue_max", &self.queue_max())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use proptest::prelude::*;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::{Reason, clock};

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_and_range() {
        let built = || Leaky::builder("leaky-bad");
        assert_eq!(built().queue(1).build().unwrap_err().field(), "quota");
        assert_eq!(built().quota(Quota::per_second(1)).build().unwrap_err().field(), "queue");
        let long = built().quota(Quota::per_second(1)).queue(QUEUE_MAX + 1).build().unwrap_err();
        assert_eq!((long.field(), long.value()), ("queue", "1048577"));
        assert_eq!(built().quota(Quota::per_second(0)).queue(1).build().unwrap_err().field(), "quota");
        let share = built().quota(Quota::per_second(1)).queue(1).enforced_ratio(2.0).build();
        assert_eq!(share.unwrap_err().field(), "enforced_ratio");
        assert!(Leaky::new(Quota::per_hour(1), u64::MAX).is_err());
        let leaky = Leaky::new(Quota::per_second(5), 1).unwrap();
        assert!(leaky.set_quota(Quota::per_second(0)).is_err() && leaky.quota().burst_max() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn futures_rs_2939_golang_27837_a_queue_or_a_rate_of_zero_refuses_and_does_not_hang() {
        let nobody_waits = Leaky::new(Quota::per_second(1), 0).unwrap();
        nobody_waits.acquire().now_or_never().unwrap().unwrap();
        let refused = nobody_waits.acquire().now_or_never().unwrap().unwrap_err();
        assert_eq!((refused.reason(), refused.limit()), (Reason::QueueFull, 0));
        assert_eq!(refused.retry_after(), Some(millis(1_000)));
        let none = Leaky::new(Quota::none(), 5).unwrap();
        assert_eq!(none.acquire().now_or_never().unwrap().unwrap_err().reason(), Reason::TooLarge);
        let unlimited = Leaky::new(Quota::unlimited(), 0).unwrap();
        assert!((0..9).all(|_| unlimited.try_acquire().is_ok() && unlimited.reserve().is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn admissions_are_evenly_spaced_in_order_and_those_beyond_the_queue_are_refused() {
        let leaky = Leaky::builder("leaky-even").quota(Quota::per_second(10)).queue(5).build().unwrap();
        let (start, served) = (clock::now(), RefCell::new(Vec::new()));
        let told = join_all((0..9_u64).map(|number| {
            let (leaky, served) = (&leaky, &served);
            async move {
                let told = leaky.acquire().await.map_err(|refused| refused.reason());
                served.borrow_mut().push((number, (clock::now() - start).as_millis() as u64 / 5));
                told
            }
        }))
        .await;
        assert!(told[..6].iter().all(Result::is_ok));
        assert_eq!(told[6..], [Err(Reason::QueueFull); 3]);
        let served: Vec<_> = served.into_inner().into_iter().filter(|(number, _)| *number < 6).collect();
        assert_eq!(served, [(0, 0), (1, 20), (2, 40), (3, 60), (4, 80), (5, 100)]);
        let seen = leaky.snapshot();
        assert_eq!(
            (seen.kind.as_str(), seen.admitted, seen.rejected, seen.waits.count()),
            ("leaky", 6, 3, 5)
        );
        assert!(seen.details.contains(&("queue_max", 5)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_until_there_is_a_place_in_the_queue_is_exact() {
        let leaky = Leaky::new(Quota::per_second(10), 2).unwrap();
        let _promised = [0, 1, 2].map(|_| leaky.reserve().unwrap());
        advance(millis(30)).await;
        let refused = leaky.acquire().now_or_never().unwrap().unwrap_err();
        assert_eq!(refused.retry_after(), Some(millis(70)));
        advance(Duration::from_nanos(69_999_999)).await;
        assert!(leaky.reserve().is_err());
        advance(Duration::from_nanos(1)).await;
        assert_eq!(leaky.reserve().unwrap().delay(), millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_a_waiter_after_any_number_of_polls_frees_its_place() {
        for polls in 1..4 {
            for call in 0..2 {
                let leaky = Leaky::new(Quota::per_second(10), 1).unwrap();
                leaky.try_acquire().unwrap();
                let handle = leaky.clone();
                let mut waits = Box::pin(async move {
                    match call {
                        0 => handle.acquire().await,
                        _ => handle.acquire_within(millis(500)).await,
                    }
                });
                for _ in 0..polls {
                    assert!(waits.as_mut().now_or_never().is_none());
                }
                assert_eq!(leaky.reserve().unwrap_err().reason(), Reason::QueueFull);
                drop(waits);
                assert_eq!((leaky.waiting(), leaky.reserve().unwrap().delay()), (0, millis(100)));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn observing_and_a_new_rate_reach_those_who_wait() {
        let leaky = Leaky::new(Quota::per_hour(1), 9).unwrap();
        leaky.try_acquire().unwrap();
        let start = clock::now();
        let (first, second, ()) = tokio::join!(leaky.acquire(), leaky.acquire(), async {
            sleep(millis(10)).await;
            leaky.set_quota(Quota::per_second(10)).unwrap();
            sleep(millis(110)).await;
            leaky.observe();
        });
        assert!(first.is_ok() && second.is_ok() && clock::now() - start <= millis(125));
        assert!((0..20).all(|_| leaky.try_acquire().is_ok() && leaky.reserve().is_ok()));
        assert_eq!(leaky.snapshot().waiting, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// The model is a list of the times that were given out.
        #[test]
        fn no_two_slots_are_nearer_than_an_interval_and_no_more_than_the_queue_lie_ahead(
            queue in 0..5u64,
            steps in proptest::collection::vec((0..250u64, any::<bool>()), 1..80),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let leaky = Leaky::new(Quota::per_second(10), queue).unwrap();
                let mut slots: Vec<Instant> = Vec::new();
                for (pause, tries) in steps {
                    advance(millis(pause)).await;
                    let now = clock::now();
                    let next = slots.last().map_or(now, |last| now.max(*last + millis(100)));
                    let delay = next - now;
                    if tries {
                        match leaky.try_acquire() {
                            Ok(()) => {
                                assert!(delay.is_zero(), "too near to the last");
                                slots.push(now);
                            }
                            Err(refused) => {
                                assert!(!delay.is_zero());
                                assert_eq!(refused.retry_after(), Some(delay));
                            }
                        }
                    } else if let Ok(reserved) = leaky.reserve() {
                        assert_eq!(reserved.ready_at(), next);
                        slots.push(next);
                        assert!(slots.iter().filter(|slot| **slot > now).count() as u64 <= queue);
                    } else {
                        assert!(delay > millis(100 * queue), "refused with a place free");
                    }
                }
            });
        }
    }
}
