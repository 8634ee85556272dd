use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::policy::Totals;
use super::state::{Decision, Gate, Machine, Probe};
use super::*;
use crate::clock::{self, Instant};
use crate::limiter::Limiter;
use crate::{Outcome, Reason, registry};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::ratio(0.5).calls_min(4).window(10 * SECOND).open_for(5 * SECOND).probes_max(2)
}

fn breaker() -> Breaker {
    Breaker::new(policy()).unwrap()
}

fn calls(breaker: &Breaker, outcome: Outcome, times: usize) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().finish(outcome);
    }
}

fn opened() -> Breaker {
    let breaker = breaker();
    calls(&breaker, Outcome::Failure, 4);
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_ratio_and_not_below_the_least_number_of_calls() {
    let breaker = breaker();
    calls(&breaker, Outcome::Failure, 3);
    assert_eq!(breaker.state(), State::Closed, "three calls are too few to judge");
    breaker.reset();
    calls(&breaker, Outcome::Success, 4);
    calls(&breaker, Outcome::Failure, 3);
    assert_eq!(breaker.state(), State::Closed, "3 of 7 is below a half");
    calls(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open, "4 of 8 is a half");
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_keeps_no_probe_out_for_ever() {
    let breaker = Breaker::builder("breaker-test-observer-panics")
        .policy(policy().probes_max(1))
        .on_transition(|change| assert_ne!(change.to, State::HalfOpen, "the observer's own fault"))
        .build()
        .unwrap();
    calls(&breaker, Outcome::Failure, 4);
    advance(5 * SECOND).await;
    assert!(catch_unwind(AssertUnwindSafe(|| breaker.try_acquire().is_ok())).is_err());
    breaker.try_acquire().expect("the probe was given back").finish(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_success_never_opens_it() {
    let breaker = breaker();
    calls(&breaker, Outcome::Failure, 3);
    calls(&breaker, Outcome::Success, 1);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn failures_leave_the_window() {
    let breaker = breaker();
    calls(&breaker, Outcome::Failure, 3);
    advance(10 * SECOND).await;
    calls(&breaker, Outcome::Failure, 3);
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn open_it_rejects_and_says_when_to_come_back() {
    let breaker = opened();
    advance(2 * SECOND).await;
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.reason(), rejected.retry_after()), (Reason::BreakerOpen, Some(3 * SECOND)));
    assert_eq!(rejected.to_string(), "unnamed: breaker open, 0 of 2 probes out, retry after 3.0s");
}

#[tokio::test(start_paused = true)]
async fn polly_254_hystrix_1647_half_open_lets_no_more_than_its_probes_through() {
    let breaker = opened();
    advance(5 * SECOND).await;
    let clones: Vec<_> = (0..100).map(|_| breaker.clone()).collect();
    let permits: Vec<_> = clones.iter().filter_map(|clone| clone.try_acquire_owned().ok()).collect();
    assert_eq!((permits.len(), breaker.state()), (2, State::HalfOpen));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!((rejected.in_use(), rejected.limit(), rejected.retry_after()), (2, 2, None));
    let mut permits = permits.into_iter();
    permits.next().unwrap().finish(Outcome::Success);
    assert!(breaker.try_acquire().is_err(), "a probe that succeeded makes no room for another");
    permits.next().unwrap().finish(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_again() {
    let breaker = opened();
    advance(5 * SECOND).await;
    let (first, second) = (breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap());
    first.finish(Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
    second.finish(Outcome::Success);
    assert_eq!(breaker.state(), State::Open, "the other probe is out of date");
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn erpc_1118_an_ignored_outcome_gives_its_probe_back() {
    let breaker = opened();
    advance(5 * SECOND).await;
    for _ in 0..10 {
        let first = breaker.try_acquire().unwrap();
        let second = breaker.try_acquire_owned().unwrap();
        assert!(breaker.try_acquire().is_err());
        first.finish(Outcome::Ignored);
        drop(second);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    calls(&breaker, Outcome::Success, 2);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn cerberus_738_cancellations_do_not_trip_the_breaker() {
    let breaker = breaker();
    for _ in 0..100 {
        let mut call = pin!(breaker.call(pending::<Result<(), ()>>));
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    }
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, Outcome::Failure, 3);
    assert_eq!(breaker.state(), State::Closed, "a cancelled call is not even one of the least number");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_before_the_last_change_counts_as_nothing() {
    let breaker = breaker();
    let stale: Vec<_> = (0..10).map(|_| breaker.try_acquire_owned().unwrap()).collect();
    calls(&breaker, Outcome::Failure, 4);
    advance(5 * SECOND).await;
    calls(&breaker, Outcome::Success, 2);
    assert_eq!(breaker.state(), State::Closed);
    stale.into_iter().for_each(|permit| permit.finish(Outcome::Failure));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_though_they_succeed() {
    let breaker = Breaker::new(policy().slow_call(SECOND, 0.75)).unwrap();
    let slow = async |count: usize| {
        for _ in 0..count {
            let permit = breaker.try_acquire().unwrap();
            advance(SECOND).await;
            permit.finish(Outcome::Success);
        }
    };
    calls(&breaker, Outcome::Success, 1);
    slow(2).await;
    assert_eq!(breaker.state(), State::Closed);
    slow(1).await;
    assert_eq!(breaker.state(), State::Open);
    advance(5 * SECOND).await;
    slow(1).await;
    assert_eq!(breaker.state(), State::Open, "a slow probe is a failed one");
}

#[tokio::test(start_paused = true)]
async fn the_time_it_stays_open_doubles_up_to_the_maximum() {
    let breaker = Breaker::new(policy().open_for_max(15 * SECOND)).unwrap();
    calls(&breaker, Outcome::Failure, 4);
    for expected in [5, 10, 15, 15] {
        let after = breaker.try_acquire().unwrap_err().retry_after().unwrap();
        assert_eq!(after, expected * SECOND);
        advance(after).await;
        breaker.try_acquire().unwrap().finish(Outcome::Failure);
    }
    advance(15 * SECOND).await;
    calls(&breaker, Outcome::Success, 2);
    calls(&breaker, Outcome::Failure, 4);
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), Some(5 * SECOND), "closing forgets");
}

#[tokio::test(start_paused = true)]
async fn force_holds_until_reset() {
    let breaker = breaker();
    breaker.force_open();
    advance(3_600 * SECOND).await;
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), None);
    breaker.force_closed();
    calls(&breaker, Outcome::Failure, 100);
    assert_eq!(breaker.state(), State::Closed);
    breaker.reset();
    calls(&breaker, Outcome::Failure, 3);
    assert_eq!(breaker.state(), State::Closed, "what was forced was not counted");
    calls(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_every_change_and_may_use_the_breaker() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let slot: Arc<Mutex<Option<Breaker>>> = Arc::default();
    let (log, handle) = (Arc::clone(&seen), Arc::clone(&slot));
    let observer = move |change: &Transition| {
        let state = handle.lock().unwrap().as_ref().map(Breaker::state);
        assert_eq!(state, Some(change.to), "no lock is held, and the change is published");
        log.lock().unwrap().push((change.from, change.to, change.epoch));
    };
    let breaker =
        Breaker::builder("breaker-test-observed").policy(policy()).on_transition(observer).build().unwrap();
    *slot.lock().unwrap() = Some(breaker.clone());
    calls(&breaker, Outcome::Failure, 4);
    advance(5 * SECOND).await;
    calls(&breaker, Outcome::Success, 2);
    let expected = [
        (State::Closed, State::Open, 1),
        (State::Open, State::HalfOpen, 2),
        (State::HalfOpen, State::Closed, 3),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    slot.lock().unwrap().take();
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_what_was_counted() {
    let breaker = Breaker::builder("breaker-test-seen").policy(policy()).build().unwrap();
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name == breaker.name()).unwrap();
    calls(&breaker, Outcome::Success, 3);
    drop(breaker.try_acquire().unwrap());
    assert_eq!((seen().admitted, seen().limit), (4, registry::Snapshot::NO_LIMIT));
    calls(&breaker, Outcome::Failure, 3);
    assert!(breaker.try_acquire().is_err());
    assert_eq!((seen().admitted, seen().rejected, seen().limit), (7, 1, 0));
    assert_eq!(seen().rejected_by, [(Reason::BreakerOpen, 1)]);
    assert!(seen().details.contains(&("open", 1)) && seen().details.contains(&("opened", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_key_can_be_forgotten_when_that_changes_no_decision() {
    let breaker = breaker();
    assert!(breaker.is_forgettable(clock::now()));
    let permit = breaker.try_acquire_owned_at(clock::now()).unwrap();
    assert!(!breaker.is_forgettable(clock::now()), "a permit is out");
    permit.finish(Outcome::Failure);
    assert!(!breaker.is_forgettable(clock::now()), "a failure is in the window");
    advance(10 * SECOND).await;
    assert!(breaker.is_forgettable(clock::now()));
    calls(&breaker, Outcome::Failure, 4);
    advance(60 * SECOND).await;
    assert!(!breaker.is_forgettable(clock::now()), "open");
    breaker.reset();
    assert!(breaker.is_forgettable(clock::now()));
}

#[test]
fn half_open_holds_its_cap_against_many_threads() {
    let policy = policy().open_for(Duration::from_millis(1)).probes_max(3);
    let breaker = Breaker::new(policy).unwrap();
    calls(&breaker, Outcome::Failure, 4);
    while breaker.try_acquire().is_err() {
        std::thread::yield_now();
    }
    let out = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..2_000 {
                    let Ok(permit) = breaker.try_acquire() else { continue };
                    assert!(out.fetch_add(1, Ordering::SeqCst) < 3);
                    out.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(breaker.state(), State::HalfOpen);
    calls(&breaker, Outcome::Success, 3);
    assert_eq!(breaker.state(), State::Closed, "no probe was lost");
}

#[test]
fn configuration_out_of_range_is_refused_by_field() {
    let ok = policy();
    let refused = [
        (Policy::ratio(0.0), "ratio"),
        (Policy::ratio(-0.5), "ratio"),
        (Policy::ratio(1.01), "ratio"),
        (Policy::ratio(f64::NAN), "ratio"),
        (ok.calls_min(0), "calls_min"),
        (ok.calls_min(u32::MAX), "calls_min"),
        (ok.window(Duration::ZERO), "window"),
        (ok.window(Duration::MAX), "window"),
        (ok.open_for(Duration::ZERO), "open_for"),
        (ok.open_for(Duration::MAX), "open_for"),
        (ok.open_for_max(SECOND), "open_for_max"),
        (ok.open_for_max(Duration::MAX), "open_for_max"),
        (ok.probes_max(0), "probes_max"),
        (ok.probes_max(u32::MAX), "probes_max"),
        (ok.slow_call(Duration::ZERO, 0.5), "slow_call from"),
        (ok.slow_call(SECOND, f64::INFINITY), "slow_call ratio"),
        (Policy::consecutive(0), "consecutive"),
        (Policy::consecutive(u32::MAX), "consecutive"),
        (Policy::consecutive(5).probes_max(0), "probes_max"),
    ];
    for (policy, field) in refused {
        assert_eq!(Breaker::new(policy).unwrap_err().field(), field);
        assert_eq!(Breaker::builder("breaker-test-bad").policy(policy).build().unwrap_err().field(), field);
    }
    assert!(Breaker::new(Policy::ratio(1.0).calls_min(1_000_000).probes_max(10_000)).is_ok());
    assert!(Breaker::builder("").build().is_err());
}

#[test]
fn three_of_thirty_is_a_tenth() {
    let totals = Totals { calls: 30, failures: 3, ..Totals::default() };
    assert!(Policy::ratio(0.1).trips(totals));
    assert!(!Policy::ratio(0.1).trips(Totals { failures: 2, ..totals }));
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_whatever_the_time_and_the_number_of_calls() {
    let breaker = Breaker::new(Policy::consecutive(3)).unwrap();
    calls(&breaker, Outcome::Success, 1_000);
    calls(&breaker, Outcome::Failure, 2);
    advance(3_600 * SECOND).await;
    assert!(!breaker.is_forgettable(clock::now()), "two failures are remembered");
    calls(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open);
    advance(5 * SECOND).await;
    calls(&breaker, Outcome::Success, 3);
    calls(&breaker, Outcome::Failure, 2);
    assert_eq!(breaker.state(), State::Closed, "closing has begun a new row");
    breaker.reset();
    calls(&breaker, Outcome::Failure, 2);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn cerberus_738_cancellations_neither_end_nor_extend_a_row() {
    let breaker = Breaker::new(Policy::consecutive(2)).unwrap();
    calls(&breaker, Outcome::Failure, 1);
    for _ in 0..100 {
        let mut call = pin!(breaker.call(pending::<Result<(), ()>>));
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    }
    assert_eq!(breaker.state(), State::Closed);
    calls(&breaker, Outcome::Failure, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_also_where_failures_in_a_row_count() {
    let breaker = Breaker::new(Policy::consecutive(100).calls_min(4).slow_call(SECOND, 0.5)).unwrap();
    for _ in 0..4 {
        assert_eq!(breaker.state(), State::Closed);
        let permit = breaker.try_acquire().unwrap();
        advance(SECOND).await;
        permit.finish(Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_at_any_await_gives_its_probe_back() {
    for polls in 0..4 {
        let breaker = opened();
        advance(5 * SECOND).await;
        {
            let mut call = pin!(breaker.call(async || {
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, ()>(())
            }));
            for _ in 0..polls {
                assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
            }
        }
        calls(&breaker, Outcome::Success, 2);
        assert_eq!(breaker.state(), State::Closed, "both probes were there after {polls} polls");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Begin,
    End { which: usize, probe: Probe },
    Trip,
}

fn step() -> impl Strategy<Value = Step> {
    let probe = prop_oneof![Just(Probe::Good), Just(Probe::Bad), Just(Probe::Neutral)];
    prop_oneof![
        (0u64..8).prop_map(Step::Wait),
        Just(Step::Begin),
        (any::<usize>(), probe).prop_map(|(which, probe)| Step::End { which, probe }),
        Just(Step::Trip),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The model keeps the probes of the present half-open round in two numbers, and the end of the
    /// open time in another.
    #[test]
    fn the_machine_never_has_more_probes_out_than_it_may_and_never_latches(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let policy = policy().open_for_max(20 * SECOND);
        let mut machine = Machine::new(policy);
        let (mut now, mut open_until, mut reopened) = (0u64, 0u64, 0u32);
        let mut permits = Vec::new();
        let (mut out, mut good) = (0u32, 0u32);
        for step in steps {
            let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
            let before = machine.word();
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Begin => match machine.admit(at(now)) {
                    Decision::Pass(word) => {
                        if word.gate() == Gate::Probed {
                            if before != word {
                                prop_assert!(now >= open_until);
                                (out, good) = (0, 0);
                            }
                            out += 1;
                        }
                        permits.push(word);
                    }
                    Decision::Reject { retry_after: Some(after), .. } => {
                        prop_assert_eq!(after, Duration::from_secs(open_until - now));
                    }
                    Decision::Reject { retry_after: None, .. } => prop_assert_eq!(out + good, 2),
                },
                Step::End { which, probe } => {
                    if permits.is_empty() { continue; }
                    let word = permits.swap_remove(which % permits.len());
                    machine.probe(at(now), word, probe);
                    if word != before {
                        prop_assert_eq!(machine.word(), before, "out of date, so it changes nothing");
                    } else if word.gate() == Gate::Probed {
                        out -= 1;
                        match probe {
                            Probe::Neutral => {}
                            Probe::Good => good += 1,
                            Probe::Bad => {
                                reopened += 1;
                                open_until = now + (5 << reopened.min(2)).min(20);
                                prop_assert_eq!(machine.word().state(), State::Open);
                            }
                        }
                        if good == 2 {
                            reopened = 0;
                            prop_assert_eq!(machine.word().state(), State::Closed);
                        }
                    }
                }
                Step::Trip => {
                    machine.judge(at(now), before, Totals { calls: 4, failures: 2, ..Totals::default() });
                    if before.gate() == Gate::Counted {
                        open_until = now + 5;
                        prop_assert_eq!(machine.word().state(), State::Open);
                    }
                }
            }
            if machine.word().gate() == Gate::Probed {
                prop_assert!(out + good <= 2);
                prop_assert_eq!(machine.probes_out(), out);
            }
        }
        // Whatever happened: when everybody has left and time has passed, it can be closed again.
        let late = Instant::from_nanos((now + 100) * 1_000_000_000);
        for word in permits {
            machine.probe(late, word, Probe::Neutral);
        }
        for _ in 0..2 {
            let Decision::Pass(word) = machine.admit(late) else { break };
            machine.probe(late, word, Probe::Good);
        }
        prop_assert_eq!(machine.word().state(), State::Closed);
    }

    /// The model is a number: how many have failed since the last success.
    #[test]
    fn it_opens_at_the_last_of_so_many_failures_in_a_row_and_at_no_other(
        at in 1u32..6, outcomes in prop::collection::vec((0u8..8, any::<bool>()), 1..200),
    ) {
        let breaker = Breaker::new(Policy::consecutive(at).probes_max(1)).unwrap();
        let mut run = 0;
        for (kind, dropped) in outcomes {
            let permit = breaker.try_acquire().unwrap();
            match kind {
                0..=4 => {
                    permit.finish(Outcome::Failure);
                    run += 1;
                }
                5 => {
                    permit.finish(Outcome::Success);
                    run = 0;
                }
                _ if dropped => drop(permit),
                _ => permit.finish(Outcome::Ignored),
            }
            prop_assert_eq!(breaker.state() == State::Open, run >= at);
            if run >= at {
                breaker.reset();
                run = 0;
            }
        }
    }
}
