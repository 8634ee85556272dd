//! Every pair of parts, in a scenario that ends otherwise if the two were swapped.

use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, sleep};

use crate::breaker::{self, State};
use crate::downstream::{Builder, Downstream, Error, OtherCall, Value};
use crate::rate::Quota;
use crate::scope::Ended;
use crate::{Reason, hedge, retry};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Fallback,
    Deadline,
    Retry,
    Hedge,
    Breaker,
    Rate,
    Concurrency,
    Timeout,
}

use Part::{Breaker, Concurrency, Deadline, Fallback, Hedge, Rate, Retry, Timeout};

/// Outermost first.
const ORDER: [Part; 8] = [Fallback, Deadline, Retry, Hedge, Breaker, Rate, Concurrency, Timeout];

macro_rules! pairs {
    ($($outer:ident of $inner:ident: $fact:ident,)*) => {
        const TABLE: &[(Part, Part)] = &[$(($outer, $inner)),*];

        $(
            #[tokio::test(start_paused = true)]
            async fn $fact() {
                scenarios::$fact().await;
            }
        )*
    };
}

// Read: the fallback is outside of the deadline, for it is not itself ended by the deadline.
pairs! {
    Fallback of Deadline: a_fallback_is_not_ended_by_the_deadline,
    Fallback of Retry: a_fallback_is_asked_once_and_after_the_last_attempt,
    Fallback of Hedge: a_fallback_does_not_outrun_the_second_try,
    Fallback of Breaker: a_fallback_does_not_hide_failures_from_the_breaker,
    Fallback of Rate: a_fallback_answers_what_is_over_the_rate,
    Fallback of Concurrency: a_fallback_answers_what_finds_no_place,
    Fallback of Timeout: a_fallback_may_take_longer_than_the_timeout,
    Deadline of Retry: a_deadline_bounds_all_attempts_together,
    Deadline of Hedge: a_deadline_ends_both_tries,
    Deadline of Breaker: a_deadline_that_ends_a_short_try_says_nothing_to_the_breaker,
    Deadline of Rate: a_deadline_bounds_the_wait_for_the_rate,
    Deadline of Concurrency: a_deadline_bounds_the_wait_for_a_place,
    Deadline of Timeout: a_deadline_does_not_begin_anew_with_each_timeout,
    Retry of Hedge: each_attempt_is_hedged_and_is_over_when_both_tries_are,
    Retry of Breaker: each_attempt_is_seen_by_the_breaker,
    Retry of Rate: each_attempt_takes_a_token,
    Retry of Concurrency: no_place_is_held_between_attempts,
    Retry of Timeout: each_attempt_has_the_whole_timeout,
    Hedge of Breaker: both_tries_are_seen_by_the_breaker,
    Hedge of Rate: both_tries_take_a_token,
    Hedge of Concurrency: both_tries_take_a_place,
    Hedge of Timeout: each_try_has_the_whole_timeout,
    Breaker of Rate: an_open_breaker_spends_no_token,
    Breaker of Concurrency: an_open_breaker_is_the_reason_even_with_no_place_free,
    Breaker of Timeout: a_timeout_is_a_failure_to_the_breaker,
    Rate of Concurrency: what_waits_for_its_turn_holds_no_place,
    Rate of Timeout: the_wait_for_a_turn_is_not_part_of_the_timeout,
    Concurrency of Timeout: the_wait_for_a_place_is_not_part_of_the_timeout,
}

#[test]
fn every_pair_has_its_scenario() {
    let pairs: Vec<_> = (0..ORDER.len())
        .flat_map(|outer| (outer + 1..ORDER.len()).map(move |inner| (ORDER[outer], ORDER[inner])))
        .collect();
    assert_eq!(TABLE, pairs);
}

/// What a dependency may be like: how long a try takes, how it ends, and how many there were.
struct Dependency {
    takes: Duration,
    answer: Result<u32, &'static str>,
    tries: Cell<u32>,
}

impl Dependency {
    const fn new(takes: Duration, answer: Result<u32, &'static str>) -> Self {
        Self { takes, answer, tries: Cell::new(0) }
    }

    const fn hangs() -> Self {
        Self::new(Duration::from_secs(3_600), Err("at last"))
    }

    const fn fails_after(takes: Duration) -> Self {
        Self::new(takes, Err("down"))
    }

    const fn answers_after(takes: Duration) -> Self {
        Self::new(takes, Ok(7))
    }

    fn get(&self) -> impl Future<Output = Result<u32, &'static str>> + use<> {
        self.tries.set(self.tries.get() + 1);
        let (takes, answer) = (self.takes, self.answer);
        async move {
            sleep(takes).await;
            answer
        }
    }
}

fn parts() -> Builder {
    Downstream::unnamed()
}

/// So many attempts more, 10 ms apart; none that asks to wait for longer than a second.
fn retry(more: usize) -> retry::Policy {
    retry::Policy::schedule(vec![10 * MS; more]).retry_after_max(SECOND)
}

fn opens_after(failures: u32) -> breaker::Policy {
    breaker::Policy::ratio(0.5).calls_min(failures)
}

fn hedge(delay: Duration) -> hedge::Policy {
    hedge::Policy::fixed(delay)
}

fn reason<T>(result: &Result<T, Error<&'static str>>) -> Option<Reason> {
    result.as_ref().err()?.rejected().map(crate::Rejected::reason)
}

fn ended_by_the_deadline<T>(result: &Result<T, Error<&'static str>>) -> bool {
    matches!(result, Err(Error::ScopeEnded(Ended::DeadlinePassed)))
}

fn timed_out<T>(result: &Result<T, Error<&'static str>>) -> bool {
    matches!(result, Err(Error::TimedOut { .. }))
}

mod scenarios {
    use super::*;

    pub(super) async fn a_fallback_is_not_ended_by_the_deadline() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let slow = OtherCall::new(|why: &Error<&str>| {
            assert_eq!(*why, Error::ScopeEnded(Ended::DeadlinePassed));
            async {
                sleep(500 * MS).await;
                Some(1)
            }
        });
        let downstream = parts().fallback(slow).deadline(100 * MS).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        assert_eq!(begun.elapsed(), 600 * MS);
    }

    pub(super) async fn a_fallback_is_asked_once_and_after_the_last_attempt() {
        let (dependency, asked) = (Dependency::fails_after(MS), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&asked);
        let other = OtherCall::new(move |why: &Error<&str>| {
            assert_eq!(*why, Error::Inner("down"));
            count.fetch_add(1, Ordering::Relaxed);
            async { Some(1) }
        });
        let downstream = parts().fallback(other).retry(retry(2)).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        assert_eq!((dependency.tries.get(), asked.load(Ordering::Relaxed)), (3, 1));
    }

    pub(super) async fn a_fallback_does_not_outrun_the_second_try() {
        let downstream = parts().fallback(Value(1)).hedge(hedge(50 * MS)).build().unwrap();
        let (first, second) = (Dependency::fails_after(60 * MS), Dependency::answers_after(40 * MS));
        let again = Cell::new(false);
        let answer = downstream.call(|| if again.replace(true) { second.get() } else { first.get() }).await;
        assert_eq!(answer, Ok(7));
    }

    pub(super) async fn a_fallback_does_not_hide_failures_from_the_breaker() {
        let dependency = Dependency::fails_after(MS);
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let other = OtherCall::new(move |why: &Error<&str>| {
            count.fetch_add(u32::from(why.rejected().is_some()), Ordering::Relaxed);
            async { Some(1) }
        });
        let downstream = parts().fallback(other).breaker(opens_after(2)).build().unwrap();
        for _ in 0..5 {
            assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        }
        assert_eq!((dependency.tries.get(), told.load(Ordering::Relaxed)), (2, 3));
    }

    pub(super) async fn a_fallback_answers_what_is_over_the_rate() {
        let dependency = Dependency::answers_after(MS);
        let downstream = parts().fallback(Value(1)).rate(Quota::per_hour(1)).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        assert_eq!(dependency.tries.get(), 1);
    }

    pub(super) async fn a_fallback_answers_what_finds_no_place() {
        let dependency = Dependency::answers_after(MS);
        let downstream = parts().fallback(Value(1)).concurrency(1).build().unwrap();
        let place = downstream.concurrency().unwrap().try_acquire().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        drop(place);
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
    }

    pub(super) async fn a_fallback_may_take_longer_than_the_timeout() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let slow = OtherCall::new(|why: &Error<&str>| {
            assert!(matches!(why, Error::TimedOut { .. }));
            async {
                sleep(500 * MS).await;
                Some(1)
            }
        });
        let downstream = parts().fallback(slow).timeout(100 * MS).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(1));
        assert_eq!(begun.elapsed(), 600 * MS);
    }

    pub(super) async fn a_deadline_bounds_all_attempts_together() {
        let (dependency, begun) = (Dependency::fails_after(100 * MS), Instant::now());
        let downstream = parts().deadline(250 * MS).retry(retry(9)).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        assert_eq!((begun.elapsed(), dependency.tries.get()), (250 * MS, 3));
    }

    pub(super) async fn a_deadline_ends_both_tries() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let downstream = parts().deadline(100 * MS).hedge(hedge(50 * MS)).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        assert_eq!((begun.elapsed(), dependency.tries.get()), (100 * MS, 2));
    }

    pub(super) async fn a_deadline_that_ends_a_short_try_says_nothing_to_the_breaker() {
        let dependency = Dependency::hangs();
        let parts = parts().deadline(100 * MS).retry(retry(2)).breaker(opens_after(2));
        let downstream = parts.timeout(60 * MS).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        // The first try is a failure, by its timeout; the second had no more than what was left.
        assert_eq!(dependency.tries.get(), 2);
        assert_eq!(downstream.breaker().unwrap().state(), State::Closed);
    }

    pub(super) async fn a_deadline_bounds_the_wait_for_the_rate() {
        let (dependency, begun) = (Dependency::answers_after(Duration::ZERO), Instant::now());
        let rate = parts().rate(Quota::per_second(1)).wait_up_to(5 * SECOND);
        let downstream = rate.deadline(100 * MS).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        assert!(begun.elapsed() <= 101 * MS, "{:?}", begun.elapsed());
    }

    pub(super) async fn a_deadline_bounds_the_wait_for_a_place() {
        let (dependency, begun) = (Dependency::answers_after(Duration::ZERO), Instant::now());
        let places = parts().concurrency(1).wait_up_to(5 * SECOND);
        let downstream = places.deadline(100 * MS).build().unwrap();
        let _place = downstream.concurrency().unwrap().try_acquire().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        assert_eq!(begun.elapsed(), 100 * MS);
    }

    pub(super) async fn a_deadline_does_not_begin_anew_with_each_timeout() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let downstream = parts().deadline(150 * MS).timeout(100 * MS).retry(retry(9)).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert!(ended_by_the_deadline(&result), "{result:?}");
        assert_eq!((begun.elapsed(), dependency.tries.get()), (150 * MS, 2));
    }

    pub(super) async fn each_attempt_is_hedged_and_is_over_when_both_tries_are() {
        let (dependency, begun) = (Dependency::fails_after(100 * MS), Instant::now());
        let downstream = parts().retry(retry(1)).hedge(hedge(50 * MS)).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Err(Error::Inner("down")));
        // 0 to 150, and 160 to 310. A retry within each try would end at 260.
        assert_eq!((begun.elapsed(), dependency.tries.get()), (310 * MS, 4));
    }

    pub(super) async fn each_attempt_is_seen_by_the_breaker() {
        let dependency = Dependency::fails_after(MS);
        let downstream = parts().retry(retry(9)).breaker(opens_after(2)).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert_eq!((reason(&result), dependency.tries.get()), (Some(Reason::BreakerOpen), 2));
    }

    pub(super) async fn each_attempt_takes_a_token() {
        let dependency = Dependency::fails_after(MS);
        let downstream = parts().retry(retry(9)).rate(Quota::per_hour(2)).build().unwrap();
        let result = downstream.call(|| dependency.get()).await;
        assert_eq!((reason(&result), dependency.tries.get()), (Some(Reason::RateExceeded), 2));
    }

    pub(super) async fn no_place_is_held_between_attempts() {
        let dependency = Dependency::fails_after(100 * MS);
        let downstream = parts().retry(retry(1)).concurrency(1).build().unwrap();
        let places = downstream.concurrency().unwrap();
        let watch = async {
            sleep(50 * MS).await;
            let working = places.in_use();
            sleep(55 * MS).await;
            (working, places.in_use())
        };
        let (result, seen) = join!(downstream.call(|| dependency.get()), watch);
        assert_eq!((result, seen), (Err(Error::Inner("down")), (1, 0)));
    }

    pub(super) async fn each_attempt_has_the_whole_timeout() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let downstream = parts().retry(retry(2)).timeout(100 * MS).build().unwrap();
        assert!(timed_out(&downstream.call(|| dependency.get()).await));
        assert_eq!((begun.elapsed(), dependency.tries.get()), (320 * MS, 3));
    }

    pub(super) async fn both_tries_are_seen_by_the_breaker() {
        let dependency = Dependency::fails_after(100 * MS);
        let downstream = parts().hedge(hedge(50 * MS)).breaker(opens_after(2)).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Err(Error::Inner("down")));
        assert_eq!(downstream.breaker().unwrap().state(), State::Open);
    }

    pub(super) async fn both_tries_take_a_token() {
        let dependency = Dependency::answers_after(100 * MS);
        let downstream = parts().hedge(hedge(50 * MS)).rate(Quota::per_hour(10)).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        assert_eq!((downstream.rate().unwrap().available(), dependency.tries.get()), (8, 2));
    }

    pub(super) async fn both_tries_take_a_place() {
        // With one place, the second try finds none: the first goes on, and wins.
        for (places, tries) in [(2, 2), (1, 1)] {
            let dependency = Dependency::answers_after(100 * MS);
            let downstream = parts().hedge(hedge(50 * MS)).concurrency(places).build().unwrap();
            let in_use = async {
                sleep(60 * MS).await;
                downstream.concurrency().unwrap().in_use()
            };
            let (answer, in_use) = join!(downstream.call(|| dependency.get()), in_use);
            assert_eq!((answer, in_use, dependency.tries.get()), (Ok(7), places, tries));
        }
    }

    pub(super) async fn each_try_has_the_whole_timeout() {
        let (dependency, begun) = (Dependency::hangs(), Instant::now());
        let downstream = parts().hedge(hedge(60 * MS)).timeout(100 * MS).build().unwrap();
        assert!(timed_out(&downstream.call(|| dependency.get()).await));
        assert_eq!((begun.elapsed(), dependency.tries.get()), (160 * MS, 2));
    }

    pub(super) async fn an_open_breaker_spends_no_token() {
        let dependency = Dependency::answers_after(MS);
        for waits in [false, true] {
            let open = parts().breaker(opens_after(1)).rate(Quota::per_hour(10));
            let downstream = if waits { open.wait_up_to(SECOND) } else { open }.build().unwrap();
            downstream.breaker().unwrap().force_open();
            let result = downstream.call(|| dependency.get()).await;
            assert_eq!(reason(&result), Some(Reason::BreakerOpen));
            assert_eq!(downstream.rate().unwrap().available(), 10);
        }
    }

    pub(super) async fn an_open_breaker_is_the_reason_even_with_no_place_free() {
        let (dependency, begun) = (Dependency::answers_after(MS), Instant::now());
        for waits in [false, true] {
            let open = parts().breaker(opens_after(1)).concurrency(1);
            let downstream = if waits { open.wait_up_to(SECOND) } else { open }.build().unwrap();
            downstream.breaker().unwrap().force_open();
            let _place = downstream.concurrency().unwrap().try_acquire().unwrap();
            let result = downstream.call(|| dependency.get()).await;
            assert_eq!((reason(&result), begun.elapsed()), (Some(Reason::BreakerOpen), Duration::ZERO));
        }
    }

    pub(super) async fn a_timeout_is_a_failure_to_the_breaker() {
        let downstream = parts().breaker(opens_after(1)).timeout(100 * MS).build().unwrap();
        assert!(timed_out(&downstream.call(pending::<Result<(), &str>>).await));
        assert_eq!(downstream.breaker().unwrap().state(), State::Open);
    }

    pub(super) async fn what_waits_for_its_turn_holds_no_place() {
        let dependency = Dependency::answers_after(MS);
        let both = || parts().rate(Quota::per_second(1)).concurrency(1);
        let downstream = both().wait_up_to(5 * SECOND).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        let in_use = async {
            sleep(500 * MS).await;
            (downstream.rate().unwrap().waiting(), downstream.concurrency().unwrap().in_use())
        };
        assert_eq!(join!(downstream.call(|| dependency.get()), in_use), (Ok(7), (1, 0)));

        // Without waiting: when both are used up the rate is the reason.
        let downstream = both().build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        let _place = downstream.concurrency().unwrap().try_acquire().unwrap();
        assert_eq!(reason(&downstream.call(|| dependency.get()).await), Some(Reason::RateExceeded));
    }

    pub(super) async fn the_wait_for_a_turn_is_not_part_of_the_timeout() {
        let (dependency, begun) = (Dependency::answers_after(50 * MS), Instant::now());
        let rate = parts().rate(Quota::per_second(2).burst(1)).wait_up_to(5 * SECOND);
        let downstream = rate.timeout(100 * MS).build().unwrap();
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        assert_eq!(downstream.call(|| dependency.get()).await, Ok(7));
        assert!(begun.elapsed() >= 550 * MS, "{:?}", begun.elapsed());
    }

    pub(super) async fn the_wait_for_a_place_is_not_part_of_the_timeout() {
        let (dependency, begun) = (Dependency::answers_after(50 * MS), Instant::now());
        let places = parts().concurrency(1).wait_up_to(5 * SECOND);
        let downstream = places.timeout(100 * MS).build().unwrap();
        let place = downstream.concurrency().unwrap().try_acquire().unwrap();
        let later = async {
            sleep(500 * MS).await;
            drop(place);
        };
        assert_eq!(join!(downstream.call(|| dependency.get()), later).0, Ok(7));
        assert_eq!(begun.elapsed(), 550 * MS);
    }
}
