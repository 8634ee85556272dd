//! Tokens taken on an estimate, settled when the true cost is known.

use super::handle::RateLimiter;
use super::line::Turn;
use super::state::Charge;
use crate::clock;

/// An estimate that was taken from the bucket; made by [`RateLimiter::try_hold`] and
/// [`RateLimiter::hold`].
///
/// [`settle`](Self::settle) puts the true cost in its place. Dropping it leaves it at the estimate.
///
/// ```
/// use plimsoll::rate::{Quota, RateLimiter};
/// let tokens = RateLimiter::new(Quota::per_hour(10_000))?;
/// let (settled, dropped) = (tokens.try_hold(4_000)?, tokens.try_hold(4_000)?);
/// settled.settle(1_000);
/// drop(dropped); // costs its estimate
/// assert!((5_000..=5_010).contains(&tokens.available()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the estimate is spent; settle it when the cost is known"]
pub struct Hold {
    limiter: RateLimiter,
    estimate: u64,
    /// None when it was let through, and nothing was spent.
    charge: Option<Charge>,
}

impl Hold {
    pub(super) const fn new(limiter: RateLimiter, estimate: u64, charge: Option<Charge>) -> Self {
        Self { limiter, estimate, charge }
    }

    /// How many tokens were taken.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let tokens = RateLimiter::new(Quota::per_hour(10_000))?;
    /// let hold = tokens.try_hold(4_000)?;
    /// assert_eq!(hold.estimate(), 4_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn estimate(&self) -> u64 {
        self.estimate
    }

    /// Charges what it truly cost, from nothing on.
    ///
    /// **More than the estimate** is charged whether it is there or not: the bucket goes into debt, and
    /// nobody is admitted until the debt is paid at the rate. What lies deeper than both an hour of the
    /// rate and one burst is forgiven, so that one wrong number does not close the limiter for days; it
    /// is shown as `forgiven` in the [snapshot](RateLimiter::snapshot).
    ///
    /// **Less than the estimate** gives the rest back, as [`Reservation::cancel`](super::Reservation::cancel)
    /// does: what cannot have been used by somebody else in the meantime.
    ///
    /// So whenever something is admitted, all true costs until then and the estimates that are still
    /// open fit into the burst and what the rate has earned; between admissions they may exceed it by
    /// what the open estimates were too low, which is the debt. It takes the limiter's lock for a moment.
    ///
    /// ```
    /// use plimsoll::rate::{Quota, RateLimiter};
    /// let tokens = RateLimiter::new(Quota::per_hour(3_600))?;
    /// tokens.try_hold(1_000)?.settle(3_660); // 60 more than there are: a minute of debt
    /// let refused = tokens.try_acquire().unwrap_err();
    /// assert_eq!(refused.retry_after().unwrap().as_secs_f64().round(), 61.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(self, actual: u64) {
        settle(&self.limiter, self.charge, self.estimate, actual);
    }
}

/// Puts `actual` in the place of the `estimate` that was charged.
pub(super) fn settle(limiter: &RateLimiter, charge: Option<Charge>, estimate: u64, actual: u64) {
    let Some(charge) = charge else { return };
    if estimate != actual {
        let mut turn = Turn::begin(&limiter.0);
        turn.settle(charge, estimate, actual, clock::now());
        turn.end();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use proptest::prelude::*;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::Reason;
    use crate::rate::{Quota, Reservation};

    fn limiter(quota: Quota) -> RateLimiter {
        RateLimiter::new(quota).unwrap()
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn what_cost_less_is_given_back_and_what_cost_more_is_owed() {
        let limiter = limiter(Quota::per_minute(6_000).burst(1_000));
        let (low, high) = (limiter.try_hold(600).unwrap(), limiter.try_hold(400).unwrap());
        assert_eq!((low.estimate(), limiter.available()), (600, 0));
        high.settle(100);
        assert_eq!(limiter.available(), 300);
        low.settle(1_900);
        assert_eq!(limiter.available(), 0);
        // A debt of 1,000, and then 100 at 100 a second.
        let refused = limiter.try_hold(100).unwrap_err();
        assert_eq!((refused.reason(), refused.retry_after()), (Reason::RateExceeded, Some(millis(11_000))));
        advance(millis(11_000)).await;
        limiter.try_hold(100).unwrap().settle(100);
        assert!(limiter.try_acquire().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_that_is_dropped_stays_at_its_estimate_and_none_is_for_nothing() {
        let limiter = limiter(Quota::per_hour(10));
        drop(limiter.try_hold(4).unwrap());
        assert_eq!(limiter.available(), 6);
        // An estimate of nothing would let everybody pass while others owe.
        let zero = limiter.try_hold(0).unwrap();
        assert_eq!((zero.estimate(), limiter.available()), (1, 5));
        zero.settle(0);
        assert_eq!(limiter.available(), 6);
        assert_eq!(limiter.try_hold(11).unwrap_err().reason(), Reason::TooLarge);
        limiter.try_hold(6).unwrap().settle(9);
        assert_eq!(limiter.try_hold(0).unwrap_err().retry_after(), Some(Duration::from_secs(4 * 360)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_is_bounded_and_what_is_forgiven_is_shown() {
        let limiter = limiter(Quota::per_second(10).burst(5));
        limiter.try_hold(5).unwrap().settle(u64::MAX);
        let refused = limiter.try_acquire().unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(3_600) + millis(100)));
        limiter.try_hold(1).unwrap_err();
        let details = limiter.snapshot().details;
        assert!(details.iter().any(|(name, tokens)| *name == "forgiven" && *tokens > 1 << 40), "{details:?}");
        // With a burst that takes longer than an hour to come back, the burst is the bound.
        let slow = self::limiter(Quota::per(Duration::from_secs(86_400), 1_000));
        slow.try_hold(1_000).unwrap().settle(10_000);
        assert_eq!(slow.snapshot().details[1], ("forgiven", 8_000));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_wait_for_the_debt_and_are_served_in_order_by_what_is_given_back() {
        let limiter = limiter(Quota::per_second(100).burst(10));
        let start = clock::now();
        let hold = limiter.try_hold(10).unwrap();
        let (first, second, ()) = tokio::join!(limiter.hold(10), limiter.hold(1), async {
            sleep(millis(50)).await;
            hold.settle(30);
        });
        // 20 owed and 10 asked for; then one more.
        assert!((310..=313).contains(&(clock::now() - start).as_millis()), "{:?}", clock::now() - start);
        second.unwrap().settle(1);
        let mut waits = pin!(limiter.hold(10));
        assert!(waits.as_mut().now_or_never().is_none());
        first.unwrap().settle(0);
        waits.await.unwrap().settle(10);
        let waited = (clock::now() - start).as_millis();
        assert!(waited <= 325, "what was given back was not given to who waits: {waited} and not 410 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_debt_wakes_no_herd() {
        let limiter = limiter(Quota::per_second(1_000).burst(1));
        let hold = limiter.try_hold(1).unwrap();
        let polls = Cell::new(0);
        let crowd = (0..200).map(|_| {
            let (polls, mut waits) = (&polls, Box::pin(limiter.acquire()));
            std::future::poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                waits.poll_unpin(cx)
            })
        });
        let (served, ()) = tokio::join!(join_all(crowd), async {
            sleep(millis(1)).await;
            hold.settle(1_001);
        });
        assert!(served.iter().all(Result::is_ok));
        // Each: to join, by its first timer, and by that after the debt, when it is served.
        assert!(polls.get() <= 1_000, "{} polls of 200 who wait", polls.get());
        assert_eq!(limiter.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_settles_too() {
        let limiter = limiter(Quota::per_second(10).burst(10));
        limiter.reserve_many(10).unwrap().settle(4);
        assert_eq!(limiter.available(), 6);
        limiter.reserve_many(6).unwrap().settle(16);
        assert_eq!(limiter.reserve().unwrap().delay(), millis(1_100));
        // What was reserved as nothing may have cost something.
        limiter.reserve_many(0).unwrap().settle(1);
        // Nothing is spent for what was let through, and so nothing is settled.
        limiter.observe();
        let waived: Reservation = limiter.reserve_many(10).unwrap();
        let held = limiter.try_hold(10).unwrap();
        waived.settle(1_000);
        held.settle(0);
        limiter.set_enforced_ratio(1.0).unwrap();
        assert_eq!(limiter.reserve().unwrap().delay(), millis(1_300));
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_one_that_waits_to_hold_after_any_number_of_polls_spends_nothing() {
        for polls in 0..4 {
            let limiter = limiter(Quota::per_second(10).burst(2));
            let hold = limiter.try_hold(2).unwrap();
            let mut waits = Box::pin(limiter.hold(2));
            let mut held = None;
            for poll in 0..polls {
                if poll == 2 {
                    advance(millis(200)).await;
                }
                held = held.or(waits.as_mut().now_or_never());
                if held.is_some() {
                    break;
                }
            }
            drop(waits);
            assert_eq!((limiter.waiting(), held.is_some()), (0, polls > 2));
            hold.settle(0);
            drop(held);
            advance(millis(200)).await;
            assert_eq!(limiter.available(), 2);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whenever something is admitted, all that was truly spent, and what is open, fits into the burst
        /// and what the rate has earned since the beginning; and a debt is never deeper than what the
        /// estimates were too low.
        #[test]
        fn true_costs_never_outrun_the_quota(
            burst in 1..50u64,
            steps in proptest::collection::vec((0..400u64, 0..60u64, 0..120u64, any::<prop::sample::Index>(), 0..3u8), 1..120),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let limiter = limiter(Quota::per_second(100).burst(burst));
                let (start, mut spent, mut open, mut holds) = (clock::now(), 0, 0, Vec::new());
                for (pause, estimate, actual, which, step) in steps {
                    advance(millis(pause)).await;
                    let earned = burst + (clock::now() - start).as_millis() as u64 / 10;
                    if step < 2 {
                        if let Ok(hold) = limiter.try_hold(estimate) {
                            open += hold.estimate();
                            assert!(spent + open <= earned, "{spent} and {open} of {earned}");
                            holds.push(hold);
                        }
                    } else if !holds.is_empty() {
                        let hold: Hold = holds.swap_remove(which.index(holds.len()));
                        open -= hold.estimate();
                        spent += actual;
                        hold.settle(actual);
                    }
                }
                // In the end the debt is paid, no sooner and (bar what could not be given back) no later.
                spent += open;
                let owed = limiter.try_hold(1).map_or_else(|refused| refused.retry_after().unwrap(), |_| Duration::ZERO);
                let earned = burst + (clock::now() + owed - start).as_millis() as u64 / 10;
                assert!(spent < earned, "{spent} of {earned}");
            });
        }
    }
}
