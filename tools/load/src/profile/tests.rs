use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn stage(shape: Shape, seconds: f64) -> Stage {
    Stage { name: "stage".into(), shape, length: Duration::from_secs_f64(seconds) }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let rate = 0.0..5_000.0;
    prop_oneof![
        rate.clone().prop_map(|rate| Shape::Steady { rate }),
        (rate.clone(), rate.clone()).prop_map(|(from, to)| Shape::Ramp { from, to }),
        (rate.clone(), rate.clone(), 2u32..12).prop_map(|(from, to, steps)| Shape::Step { from, to, steps }),
        (rate, 0.0..10.0).prop_map(|(base, times)| Shape::Spike {
            base,
            times,
            begins: Duration::from_millis(100),
            lasts: Duration::from_millis(300)
        }),
        (1u32..500, 1u64..400)
            .prop_map(|(size, every)| Shape::Burst { size, every: Duration::from_millis(every) }),
    ]
}

fn profiles(arrivals: Arrivals) -> impl Strategy<Value = Profile> {
    let stages = prop::collection::vec((shapes(), 0.5f64..3.0), 1..5);
    stages.prop_filter_map("no request at all", move |stages| {
        let stages = stages.into_iter().map(|(shape, seconds)| stage(shape, seconds)).collect();
        Profile::new(stages, arrivals).ok()
    })
}

fn all(profile: &Profile, workers: usize) -> Vec<Arrival> {
    let schedules = (0..workers).flat_map(|worker| profile.schedule(worker, workers, 7));
    let mut all: Vec<Arrival> = schedules.collect();
    all.sort_by_key(|arrival| arrival.at);
    all
}

/// Arrivals before that moment.
fn before(arrivals: &[Arrival], at: Duration) -> f64 {
    arrivals.iter().filter(|arrival| arrival.at < at).count() as f64
}

proptest! {
    #[test]
    fn the_arrivals_until_any_moment_are_the_integral_of_the_rate(
        profile in profiles(Arrivals::Constant), workers in 1usize..5, part in 0.0f64..1.0,
    ) {
        let arrivals = all(&profile, workers);
        for at in [profile.length().mul_f64(part), profile.length()] {
            // Bursts that happen at this very instant, or a rounding away from it, may count or not.
            let (low, high) = (at.saturating_sub(Duration::from_nanos(100)), at + Duration::from_nanos(100));
            let seen = (before(&arrivals, low), before(&arrivals, high));
            prop_assert!(seen.0 <= profile.expected(high) + 1.0 && seen.1 >= profile.expected(low) - 1.0,
                "{seen:?} of {} at {at:?}", profile.expected(at));
        }
    }

    #[test]
    fn arrivals_come_in_order_and_within_their_stage(
        profile in profiles(Arrivals::Poisson), seed in any::<u64>(),
    ) {
        let mut last = Duration::ZERO;
        for arrival in profile.schedule(0, 1, seed) {
            prop_assert!(arrival.at >= last && arrival.at <= profile.length());
            last = arrival.at;
            let ends: Duration = profile.stages()[..=arrival.stage].iter().map(|stage| stage.length).sum();
            let begins = ends - profile.stages()[arrival.stage].length;
            let slack = Duration::from_nanos(100);
            prop_assert!(arrival.at + slack >= begins && arrival.at <= ends + slack);
        }
    }

    #[test]
    fn the_rate_is_the_slope_of_what_is_expected(rate in 1.0f64..1e5, to in 0.0f64..1e5, part in 0.01f64..0.98) {
        let profile = Profile::new(vec![stage(Shape::Ramp { from: rate, to }, 10.0)], Arrivals::Constant);
        let profile = profile.unwrap();
        let (at, step) = (Duration::from_secs_f64(10.0 * part), Duration::from_millis(10));
        let slope = (profile.expected(at + step) - profile.expected(at)) / step.as_secs_f64();
        let middle = profile.rate_at(at + step / 2);
        prop_assert!((slope - middle).abs() <= 1e-6 * middle.max(1.0), "{slope} {middle}");
    }
}

#[test]
fn workers_share_evenly_spread_arrivals_without_gaps_or_twins() {
    let profile = Profile::steady(100.0, Duration::from_secs(1)).unwrap();
    let times: Vec<u128> = all(&profile, 3).iter().map(|arrival| arrival.at.as_millis()).collect();
    assert_eq!(times, (0..100).map(|number| number * 10).collect::<Vec<_>>());
}

#[test]
fn random_arrivals_have_the_mean_and_the_spread_of_a_poisson_process() {
    let ramp = stage(Shape::Ramp { from: 0.0, to: 2_000.0 }, 100.0);
    let profile = Profile::new(vec![ramp], Arrivals::Poisson).unwrap();
    let arrivals = all(&profile, 4);
    // 100,000 expected, with a deviation of their root: five of them are seen once in two million.
    assert!((arrivals.len() as f64 - 1e5).abs() < 5.0 * 1e5f64.sqrt(), "{}", arrivals.len());
    // Counts in pieces of equal expectation have a variance as large as their mean.
    let mut counts = [0.0f64; 1_000];
    for arrival in &arrivals {
        let level = profile.expected(arrival.at);
        counts[((level / 100.0) as usize).min(999)] += 1.0;
    }
    let mean = counts.iter().sum::<f64>() / 1e3;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 999.0;
    assert!((variance / mean - 1.0).abs() < 0.25, "{variance} of {mean}");
}

#[test]
fn the_same_seed_makes_the_same_arrivals_and_another_others() {
    let profile = Profile::new(vec![stage(Shape::Steady { rate: 50.0 }, 10.0)], Arrivals::Poisson).unwrap();
    let with = |seed| profile.schedule(0, 1, seed).collect::<Vec<_>>();
    assert_eq!(with(3), with(3));
    assert_ne!(with(3), with(4));
}

#[test]
fn a_burst_is_due_at_one_instant() {
    let burst = Shape::Burst { size: 50, every: Duration::from_millis(400) };
    let profile = Profile::new(vec![stage(burst, 1.0)], Arrivals::Constant).unwrap();
    let times: Vec<u128> = all(&profile, 4).iter().map(|arrival| arrival.at.as_millis()).collect();
    let expected: Vec<u128> = [0, 400, 800].into_iter().flat_map(|at| [at; 50]).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_pause_has_no_arrivals_and_what_follows_begins_after_it() {
    let stages = vec![
        stage(Shape::Steady { rate: 10.0 }, 1.0),
        stage(Shape::Steady { rate: 0.0 }, 5.0),
        stage(Shape::Steady { rate: 10.0 }, 1.0),
    ];
    let profile = Profile::new(stages, Arrivals::Constant).unwrap();
    let arrivals = all(&profile, 1);
    assert_eq!(arrivals.len(), 20);
    assert_eq!((arrivals[9].at.as_millis(), arrivals[10].at.as_millis()), (900, 6_000));
    assert_eq!((arrivals[10].stage, profile.stage_at(Duration::from_secs(3))), (2, 1));
    assert_eq!(
        (profile.rate_at(Duration::from_secs(3)), profile.rate_at(Duration::from_secs(7))),
        (0.0, 0.0)
    );
}

#[test]
fn what_is_out_of_range_is_refused_with_the_stage_and_the_range() {
    let refused = |shape, seconds| {
        Profile::new(vec![stage(shape, seconds)], Arrivals::Constant).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Shape::Steady { rate: -1.0 }, 1.0),
        "rate of stage stage is -1, allowed is 0 to 1,000,000 requests a second"
    );
    let far = Shape::Spike {
        base: 1.0,
        times: 10.0,
        begins: Duration::from_secs(9),
        lasts: Duration::from_secs(2),
    };
    assert_eq!(refused(far, 10.0), "spike of stage stage is 9s to 11s, allowed is within the stage's 10s");
    assert!(refused(Shape::Steady { rate: 0.1 }, 1.0).contains("at least one request"));
    assert!(refused(Shape::Steady { rate: f64::NAN }, 1.0).contains("NaN"));
    assert!(refused(Shape::Burst { size: 1, every: Duration::ZERO }, 1.0).contains("1 ms or more"));
    assert!(refused(Shape::Step { from: 1.0, to: 2.0, steps: 1 }, 1.0).contains("2 to 1,000"));
    assert!(refused(Shape::Steady { rate: 1.0 }, 1e6).contains("24 h"));
    assert!(Profile::new(vec![], Arrivals::Constant).is_err());
}
