use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::adaptive::Adaptive;
use crate::breaker::{self, Breaker};
use crate::rate::{Quota, RateLimiter};
use crate::semaphore::Semaphore;
use crate::{Outcome, Reason};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn calls_come_in_order_within_the_load_and_as_many_as_the_rate_says(
        from in 0.0f64..2_000.0, to in 0.0f64..2_000.0, ms in 1u64..5_000, seed in any::<Option<u64>>(),
    ) {
        let length = Duration::from_millis(ms);
        let mut load = Load::ramp(from..=to, length).then(Load::burst(3)).then(Load::steady(10.0, SECOND));
        if let Some(seed) = seed {
            load = load.poisson(seed);
        }
        let times = load.times();
        prop_assert!(times.is_sorted());
        prop_assert!(times.iter().all(|at| *at <= load.length()));
        prop_assert_eq!(&times, &load.times(), "the same every time");
        let wanted = (from + to) / 2.0 * length.as_secs_f64() + 13.0;
        let slack = if seed.is_some() { 6.0 * wanted.sqrt() + 2.0 } else { 1.0 + 1e-6 };
        prop_assert!((times.len() as f64 - wanted).abs() <= slack, "{} for {wanted}", times.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_is_admitted_or_rejected_and_ends() {
    let semaphore = Semaphore::new(5).unwrap();
    let load = Load::steady(100.0, 2 * SECOND).then(Load::burst(50)).poisson(1);
    let report = run(&semaphore, &load, Service::constant(100 * MS)).await;
    assert_eq!(report.offered(), report.admitted() + report.rejected());
    assert_eq!((report.abandoned(), report.failed(), report.in_flight_max()), (0, 0, 5));
    assert_eq!(report.rejected_for(Reason::Full), report.rejected());
    assert_eq!(report.latency(0.5), Some(100 * MS));
    let sum = |of: fn(&Second) -> u64| report.seconds().iter().map(of).sum::<u64>();
    assert_eq!(sum(|second| second.offered), report.offered());
    assert_eq!(sum(|second| second.ended), report.admitted());
    assert_eq!(semaphore.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_of_two_places_serves_two_at_once_in_order() {
    let semaphore = Semaphore::new(100).unwrap();
    let report = run(&semaphore, &Load::burst(6), Service::places(2, 10 * MS)).await;
    let latency = |quantile| report.latency(quantile).unwrap();
    assert_eq!((latency(0.0), latency(0.5), latency(1.0)), (10 * MS, 20 * MS, 30 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_service_is_slow_and_fails_when_it_was_told_to() {
    let semaphore = Semaphore::new(100).unwrap();
    let service = Service::constant(10 * MS).slower(3.0, SECOND..2 * SECOND).failing(2 * SECOND..3 * SECOND);
    let report = run(&semaphore, &Load::steady(10.0, 4 * SECOND), service).await;
    assert_eq!(
        (report.failed(), report.latency(0.6), report.latency(1.0)),
        (10, Some(10 * MS), Some(30 * MS))
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_told_how_calls_end() {
    let policy = breaker::Policy::ratio(0.5).calls_min(5).open_for(SECOND);
    let breaker = Breaker::new(policy).unwrap();
    let service = Service::constant(MS).failing(SECOND..2 * SECOND);
    let load = Load::steady(100.0, 5 * SECOND);
    let report = run_learning(&breaker, &load, service, breaker::OwnedPermit::finish).await;
    assert!(report.rejected_for(Reason::BreakerOpen) > 50, "{report:?}");
    assert_eq!(report.seconds()[4].rejected, 0, "it has closed again");
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_rate_limiter_wait_for_their_turn() {
    let limiter = RateLimiter::new(Quota::per_second(10).burst(1)).unwrap();
    let report = run_waiting(&limiter, &Load::burst(21), Service::constant(MS), |(), _| ()).await;
    assert_eq!((report.admitted(), report.rejected()), (21, 0));
    let longest = report.wait(1.0).unwrap();
    assert!((2 * SECOND..2 * SECOND + 5 * MS).contains(&longest), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_ever_is_abandoned() {
    let semaphore = Semaphore::new(1).unwrap();
    let held = semaphore.try_acquire().unwrap();
    let report =
        run_waiting(&semaphore, &Load::burst(3), Service::constant(MS), |permit, _| drop(permit)).await;
    assert_eq!((report.admitted(), report.abandoned()), (0, 3));
    assert_eq!(semaphore.waiting(), 0);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_gives_every_permit_back() {
    let semaphore = Semaphore::new(2).unwrap();
    let load = Load::steady(100.0, SECOND);
    for after in [0, 5, 100, 500] {
        let service = Service::constant(50 * MS);
        let run = run_waiting(&semaphore, &load, service, |permit, _| drop(permit));
        assert!(tokio::time::timeout(after * MS, run).await.is_err());
        // The tasks of those who wait are ended by the runtime.
        tokio::task::yield_now().await;
        assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0), "after {after} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_run_twice_is_the_same_report() {
    let once = async || {
        let adaptive = Adaptive::new();
        let service = Service::places(10, 10 * MS).varying(3);
        let load = Load::steady(2_000.0, 3 * SECOND).poisson(3);
        run_learning(&adaptive, &load, service, crate::adaptive::OwnedPermit::finish).await
    };
    assert_eq!(once().await, once().await);
}

#[tokio::test]
#[should_panic(expected = "pause it with #[tokio::test(start_paused = true)]")]
async fn time_that_runs_is_refused_with_the_remedy() {
    let semaphore = Semaphore::new(1).unwrap();
    let _ = run(&semaphore, &Load::burst(1), Service::constant(MS)).await;
}

#[test]
fn loads_and_services_out_of_range_are_refused() {
    for refused in [
        || drop(Load::steady(f64::NAN, SECOND)),
        || drop(Load::steady(-1.0, SECOND)),
        || drop(Load::ramp(1.0..=f64::INFINITY, SECOND)),
        || drop(Load::steady(1.0, Duration::MAX)),
        || drop(Load::burst(u64::MAX)),
        || drop(Service::places(0, MS)),
        || drop(Service::constant(MS).slower(f64::NAN, MS..SECOND)),
    ] {
        assert!(std::panic::catch_unwind(refused).is_err());
    }
    assert_eq!(Load::steady(0.0, SECOND).calls(), 0);
    assert_eq!(Service::constant(MS).call(Duration::ZERO), (MS, Outcome::Success));
}
