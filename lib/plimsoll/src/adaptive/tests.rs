use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::clock::{self, Instant};
use crate::limiter::{Limiter, Observable, Waiting};
use crate::testing::{self, Load, Service};
use crate::{Outcome, Reason, registry};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn algorithms() -> Vec<Box<dyn Algorithm>> {
    vec![
        Box::new(Knee::new()),
        Box::new(Aimd::new()),
        Box::new(Vegas::new()),
        Box::new(Gradient2::new()),
        Box::new(Windowed::new(Gradient2::new(), 100 * MS)),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![8 => Just(Outcome::Success), 1 => Just(Outcome::Failure), 1 => Just(Outcome::Ignored)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_sample_makes_an_algorithm_panic_or_answer_what_is_no_number(
        samples in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..2_000, outcome()), 1..300),
    ) {
        for mut algorithm in algorithms() {
            let mut limit = 20.0;
            for (now, latency, in_flight, outcome) in &samples {
                let latency = Duration::from_nanos(*latency);
                let sample = Sample::new(Instant::from_nanos(*now), latency, *in_flight);
                limit = algorithm.update(limit, &sample.with_outcome(*outcome));
                prop_assert!(limit.is_finite(), "{:?}", algorithm);
                limit = limit.clamp(1.0, 1_000.0);
            }
        }
    }

    #[test]
    fn nothing_is_learned_from_what_is_ignored(latencies in prop::collection::vec(1u64..1_000_000, 1..200)) {
        for mut algorithm in algorithms() {
            for latency in &latencies {
                let sample = Sample::new(clock::now(), Duration::from_micros(*latency), 20);
                prop_assert_eq!(algorithm.update(20.0, &sample.with_outcome(Outcome::Ignored)), 20.0);
            }
            prop_assert_eq!(algorithm.latency_base(), None);
        }
    }

    #[test]
    fn while_the_caller_is_the_limit_no_algorithm_climbs(micros in prop::collection::vec(900u64..1_100, 500)) {
        for mut algorithm in algorithms() {
            let (mut limit, mut now) = (100.0, Instant::from_nanos(0));
            for latency in &micros {
                now = now + 200 * MS / 1_000;
                limit = algorithm.update(limit, &Sample::new(now, Duration::from_micros(*latency), 5));
                prop_assert!((5.0..=100.0).contains(&limit), "{:?} is at {limit}", algorithm);
            }
        }
    }

    #[test]
    fn the_limiter_never_exceeds_its_limit_nor_its_range_and_leaks_nothing(
        steps in prop::collection::vec((0u8..3, outcome(), 0u64..50), 1..300),
    ) {
        let adaptive = Adaptive::builder("adaptive-test-model").algorithm(Aimd::new())
            .initial(5).limits(2, 8).build().unwrap();
        let mut held = Vec::new();
        for (step, outcome, at) in steps {
            match step {
                0 => match adaptive.try_acquire_owned() {
                    Ok(permit) => {
                        held.push(permit);
                        prop_assert!(held.len() as u64 <= adaptive.limit());
                    }
                    Err(_) => prop_assert!(held.len() as u64 >= adaptive.limit()),
                },
                _ if held.is_empty() => {}
                1 => held.swap_remove(at as usize % held.len()).finish(outcome),
                _ => drop(held.swap_remove(at as usize % held.len())),
            }
            prop_assert!((2..=8).contains(&adaptive.limit()));
            prop_assert_eq!(adaptive.in_use(), held.len() as u64);
        }
        drop(held);
        prop_assert_eq!(adaptive.in_use(), 0);
    }
}

/// A service of `capacity` places, saturated by its callers: with more in flight, all take longer.
fn saturate(
    algorithm: &mut dyn Algorithm,
    limit: &mut f64,
    capacity: f64,
    samples: usize,
    now: &mut Instant,
) {
    for _ in 0..samples {
        let in_flight = limit.floor();
        let latency = Duration::from_secs_f64(0.01 * (in_flight / capacity).max(1.0));
        *now = *now + latency.div_f64(in_flight);
        *limit = algorithm.update(*limit, &Sample::new(*now, latency, in_flight as u64)).clamp(1.0, 1_000.0);
    }
}

#[test]
fn concurrency_limits_134_the_limit_climbs_for_ever_under_modest_overload() {
    let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::from_nanos(0));
    for _ in 0..20 {
        saturate(&mut knee, &mut limit, 30.0, 5_000, &mut now);
        // The lower is a trial, to four fifths.
        assert!((22.0..=42.0).contains(&limit), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn envoy_8337_a_probe_of_the_minimum_refuses_healthy_traffic() {
    let adaptive = Adaptive::new();
    // Ten minutes at half of what the service can do: no more in flight than 10 of 20 places, on average.
    let load = Load::steady(100.0, 600 * SECOND);
    let service = Service::places(20, 100 * MS);
    let report = testing::run_learning(&adaptive, &load, service, OwnedPermit::finish).await;
    assert_eq!(report.rejected(), 0);
    assert_eq!(adaptive.limit(), 20);
}

#[test]
fn envoy_46532_the_floor_is_where_a_probe_sits() {
    // A trial goes to four fifths of what is in flight, wherever the floor is.
    let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::from_nanos(0));
    saturate(&mut knee, &mut limit, 100.0, 50_000, &mut now);
    let mut lowest = limit;
    for _ in 0..50_000 {
        saturate(&mut knee, &mut limit, 100.0, 1, &mut now);
        lowest = lowest.min(limit);
    }
    assert!(lowest >= 0.6 * 100.0, "{lowest}");
}

#[test]
fn congestion_limiter_0_1_a_clock_that_steps_back_panics() {
    for mut algorithm in algorithms() {
        let mut limit = 20.0;
        for now in [5_000_000_000, 1, 4_000_000_000, 0, u64::MAX, 7] {
            for _ in 0..200 {
                let sample = Sample::new(Instant::from_nanos(now), 10 * MS, 20);
                limit = algorithm.update(limit, &sample).clamp(1.0, 100.0);
            }
        }
        assert!(limit >= 1.0);
    }
}

#[test]
fn it_comes_down_to_a_fallen_capacity_and_back_up() {
    let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::from_nanos(0));
    saturate(&mut knee, &mut limit, 100.0, 50_000, &mut now);
    assert!((95.0..=125.0).contains(&limit), "{limit}");
    saturate(&mut knee, &mut limit, 10.0, 5_000, &mut now);
    assert!((8.0..=18.0).contains(&limit), "{limit}");
    saturate(&mut knee, &mut limit, 100.0, 10_000, &mut now);
    assert!((95.0..=125.0).contains(&limit), "{limit}");
}

#[test]
fn a_service_that_takes_longer_without_a_queue_keeps_its_limit() {
    let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::from_nanos(0));
    saturate(&mut knee, &mut limit, 50.0, 50_000, &mut now);
    for _ in 0..10_000 {
        let in_flight = limit.floor();
        let latency = Duration::from_secs_f64(0.05 * (in_flight / 50.0).max(1.0));
        now = now + latency.div_f64(in_flight);
        limit = knee.update(limit, &Sample::new(now, latency, in_flight as u64)).clamp(1.0, 1_000.0);
    }
    assert!((45.0..=65.0).contains(&limit), "{limit}");
    let base = knee.latency_base().unwrap();
    assert!((45 * MS..=55 * MS).contains(&base), "{base:?}");
}

#[test]
fn an_outage_brings_it_to_the_floor_and_its_end_brings_it_back() {
    let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::from_nanos(0));
    saturate(&mut knee, &mut limit, 50.0, 20_000, &mut now);
    for _ in 0..2_000 {
        now = now + MS;
        let sample = Sample::new(now, MS, limit as u64).with_outcome(Outcome::Failure);
        limit = knee.update(limit, &sample).clamp(1.0, 1_000.0);
    }
    assert!(limit < 2.0, "{limit}");
    let ended = now;
    saturate(&mut knee, &mut limit, 50.0, 5_000, &mut now);
    assert!((45.0..=65.0).contains(&limit), "{limit}");
    assert!(now.since(ended) < 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_in_order_and_growth_lets_them_in() {
    let adaptive =
        Adaptive::builder("adaptive-test-waiting").algorithm(Aimd::new()).initial(1).build().unwrap();
    let permit = adaptive.try_acquire().unwrap();
    let (mut first, mut second) = (pin!(adaptive.acquire()), pin!(adaptive.acquire()));
    poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(adaptive.waiting(), 2);
    permit.finish(Outcome::Success);
    let _both = (first.await, second.await);
    assert_eq!((adaptive.limit(), adaptive.in_use()), (2, 2));
    let late = adaptive.acquire_within(MS).await.unwrap_err();
    assert_eq!((late.reason(), late.limiter()), (Reason::WaitTimedOut, adaptive.name()));
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_it_leaves_nothing_behind() {
    for polls in 0..4 {
        let adaptive = Adaptive::builder("adaptive-test-drop").initial(1).build().unwrap();
        let permit = adaptive.try_acquire().unwrap();
        {
            let mut waiting = pin!(Waiting::acquire_owned(&adaptive));
            let mut limited = pin!(adaptive.acquire_within(SECOND));
            poll_fn(|cx| {
                for _ in 0..polls {
                    assert!(waiting.as_mut().poll(cx).is_pending());
                    assert!(limited.as_mut().poll(cx).is_pending());
                }
                Poll::Ready(())
            })
            .await;
            drop(permit); // it is granted to the first, who never takes it
        }
        assert_eq!((adaptive.in_use(), adaptive.waiting()), (0, 0), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_drop_gives_the_place_back_and_teaches_nothing() {
    let adaptive =
        Adaptive::builder("adaptive-test-plain").algorithm(Aimd::new()).initial(3).build().unwrap();
    for _ in 0..10 {
        drop(adaptive.try_acquire().unwrap());
        adaptive.try_acquire().unwrap().finish(Outcome::Ignored);
    }
    assert_eq!((adaptive.limit(), adaptive.in_use()), (3, 0));
    assert!(adaptive.is_forgettable(clock::now()));
    let clone = adaptive.clone();
    assert!(!adaptive.is_forgettable(clock::now()), "another handle could change it");
    clone.try_acquire().unwrap().finish(Outcome::Failure);
    drop(clone);
    assert_eq!(adaptive.limit(), 2);
    assert!(!adaptive.is_forgettable(clock::now()), "it has learned");
}

#[tokio::test(start_paused = true)]
async fn it_is_seen_under_its_name_with_what_it_found() {
    let adaptive = Adaptive::builder("adaptive-test-seen").initial(2).limits(1, 9).build().unwrap();
    for _ in 0..1_000 {
        let permit = adaptive.try_acquire().unwrap();
        advance(10 * MS).await;
        permit.finish(Outcome::Success);
    }
    let seen =
        registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "adaptive-test-seen").unwrap();
    assert_eq!((seen.kind, seen.limit, seen.admitted), (registry::Kind::Adaptive, 2, 1_000));
    let detail = |name| seen.details.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!((detail("limit_min"), detail("limit_max")), (Some(1), Some(9)));
    let base = detail("latency_base_us").unwrap();
    assert!((9_900..=10_100).contains(&base), "{base}");
}

#[tokio::test(start_paused = true)]
async fn observed_it_counts_what_it_would_reject_and_admits_all() {
    let adaptive = Adaptive::builder("adaptive-test-observe").initial(1).build().unwrap();
    adaptive.observe();
    let _both = (adaptive.try_acquire().unwrap(), adaptive.try_acquire().unwrap());
    assert_eq!((adaptive.in_use(), adaptive.snapshot().would_reject), (2, 1));
    let refused = adaptive.set_enforced_ratio(f64::NAN).unwrap_err();
    assert_eq!((refused.bound(), refused.field()), (adaptive.name(), "enforced_ratio"));
    adaptive.set_enforced_ratio(1.0).unwrap();
    let rejected = adaptive.try_acquire().unwrap_err();
    assert_eq!(
        (rejected.limiter(), rejected.reason(), rejected.in_use()),
        (adaptive.name(), Reason::Full, 2)
    );
}

#[test]
fn an_algorithm_that_panics_or_answers_nonsense_keeps_the_last_limit() {
    #[derive(Debug)]
    struct Broken(u32);
    impl Algorithm for Broken {
        fn update(&mut self, _: f64, _: &Sample) -> f64 {
            self.0 += 1;
            match self.0 {
                1 => f64::NAN,
                2 => panic!("broken"),
                3 => f64::INFINITY,
                _ => f64::NEG_INFINITY,
            }
        }
    }
    let adaptive =
        Adaptive::builder("adaptive-test-broken").algorithm(Broken(0)).limits(3, 30).build().unwrap();
    let teach = || adaptive.try_acquire().unwrap().finish(Outcome::Success);
    teach();
    assert_eq!(adaptive.limit(), 20);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(teach)).is_err());
    assert_eq!((adaptive.limit(), adaptive.in_use()), (20, 0));
    teach();
    assert_eq!(adaptive.limit(), 30);
    teach();
    assert_eq!(adaptive.limit(), 3);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_field_and_value() {
    let refused = |builder: Builder| {
        let refused = builder.build().unwrap_err();
        format!("{} is {}", refused.field(), refused.value())
    };
    let builder = || Adaptive::builder("adaptive-test-refused");
    assert_eq!(refused(builder().limits(0, 10)), "limits min is 0");
    assert_eq!(refused(builder().limits(1, 1_000_001)), "limits max is 1000001");
    assert_eq!(refused(builder().limits(11, 10)), "limits min is 11");
    assert_eq!(refused(builder().initial(0)), "initial is 0");
    assert_eq!(refused(builder().limits(1, 10).initial(11)), "initial is 11");
    assert_eq!(refused(builder().algorithm(Aimd::new().backoff(1.0))), "backoff is 1");
    assert_eq!(refused(builder().algorithm(Aimd::new().timeout(Duration::ZERO))), "timeout is 0s");
    assert_eq!(refused(builder().algorithm(Vegas::new().smoothing(f64::NAN))), "smoothing is NaN");
    assert_eq!(refused(builder().algorithm(Vegas::new().probe_multiplier(0.0))), "probe_multiplier is 0");
    assert_eq!(refused(builder().algorithm(Gradient2::new().queue(-1.0))), "queue is -1");
    assert_eq!(refused(builder().algorithm(Gradient2::new().long_window(0))), "long_window is 0");
    assert_eq!(refused(builder().algorithm(Windowed::new(Aimd::new(), Duration::ZERO))), "span is 0ns");
    assert_eq!(refused(Adaptive::builder("")), "name is \"\"");
}
