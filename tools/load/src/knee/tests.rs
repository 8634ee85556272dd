use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings { from: 50.0, to: 100_000.0, step_seconds: 5.0, p99_ms: 1_000.0 };

/// A target that is made up: what it does with so many a second, and how much each window is off.
struct Target {
    capacity: f64,
    /// Beyond its capacity it refuses the rest, or lets it wait.
    refuses: bool,
    /// How much goodput it loses for each that is offered beyond its capacity.
    collapse: f64,
    service_ms: f64,
    noise: f64,
}

const REFUSES: Target =
    Target { capacity: 730.0, refuses: true, collapse: 0.0, service_ms: 5.0, noise: 0.02 };

impl Target {
    fn take(&self, step: Step, random: &mut fastrand::Rng) -> Outcome {
        let beyond = (step.rate - self.capacity).max(0.0);
        let goodput = (step.rate.min(self.capacity) - self.collapse * beyond).max(1.0);
        let utilisation = (step.rate / self.capacity).min(0.95);
        let waits = if self.refuses || beyond == 0.0 { 1.0 / (1.0 - utilisation) } else { 300.0 };
        let mut window = || goodput * (1.0 + self.noise * (random.f64() * 2.0 - 1.0));
        Outcome {
            offered: step.rate,
            goodput: (0..10).map(|_| window()).collect(),
            refused_ratio: if self.refuses { beyond / step.rate } else { 0.0 },
            failed_ratio: 0.0,
            generator_limited: false,
            lacks_connections: false,
            mean_ms: self.service_ms * waits,
            p99_ms: self.service_ms * waits * 4.6,
        }
    }
}

fn search(settings: Settings, mut take: impl FnMut(Step) -> Outcome) -> (Finding, usize) {
    let mut search = Search::new(settings);
    for steps in 0..200 {
        match search.next() {
            Next::Step(step) => search.record(take(step)),
            Next::Found(finding) => return (*finding, steps),
        }
    }
    panic!("the search does not end");
}

fn found(target: &Target) -> Finding {
    let mut random = fastrand::Rng::with_seed(7);
    search(SETTINGS, |step| target.take(step, &mut random)).0
}

#[test]
fn the_limit_of_a_target_that_refuses_is_found_within_a_few_per_cent() {
    let finding = found(&REFUSES);
    let bound = finding.bound.clone().unwrap();
    assert!((bound.per_second.value / 730.0 - 1.0).abs() < 0.03, "{bound:?}");
    assert_eq!((bound.beyond, bound.collapses_to), (Bend::Refuses, None));
    assert!(
        finding.explained()[0].ends_with("beyond that it refuses the rest."),
        "{:?}",
        finding.explained()
    );
}

#[test]
fn a_target_that_queues_without_end_lags_at_its_capacity() {
    let bound = found(&Target { refuses: false, ..REFUSES }).bound.unwrap();
    assert!((bound.per_second.value / 730.0 - 1.0).abs() < 0.03, "{bound:?}");
    assert_eq!(bound.beyond, Bend::Lags);
}

#[test]
fn a_collapse_is_told_and_the_bound_is_the_best_before_it() {
    let finding = found(&Target { refuses: false, collapse: 1.0, ..REFUSES });
    let bound = finding.bound.clone().unwrap();
    assert!(bound.collapses_to.is_some_and(|left| left < 600.0), "{bound:?}");
    assert!(finding.explained()[1].contains("a collapse"), "{:?}", finding.explained());
}

#[test]
fn what_never_bends_has_no_bound() {
    let finding = found(&Target { capacity: 1e9, ..REFUSES });
    assert_eq!(finding.bound, Err(NoBound::NeverBends { highest: 100_000.0 }));
    assert!(finding.explained()[0].contains("never bent"));
}

#[test]
fn what_fails_from_the_first_request_has_no_bound() {
    let broken = |step: Step| Outcome {
        failed_ratio: 1.0,
        goodput: vec![0.0; 10],
        ..REFUSES.take(step, &mut fastrand::Rng::with_seed(1))
    };
    let (finding, steps) = search(SETTINGS, broken);
    assert!(matches!(finding.bound, Err(NoBound::NeverWell { bend: Bend::Fails, .. })), "{finding:?}");
    assert!(steps < 6, "{steps}");
}

#[test]
fn a_generator_that_does_not_keep_up_names_no_bound() {
    let mut random = fastrand::Rng::with_seed(3);
    let weak =
        |step: Step| Outcome { generator_limited: step.rate > 400.0, ..REFUSES.take(step, &mut random) };
    let (finding, _) = search(SETTINGS, weak);
    assert!(matches!(finding.bound, Err(NoBound::Generator { at: 800.0 })), "{finding:?}");
}

#[test]
fn a_generator_without_enough_connections_names_no_bound_and_says_what_to_raise() {
    let mut random = fastrand::Rng::with_seed(3);
    let few = |step: Step| {
        let lacks = step.rate > 400.0;
        Outcome { generator_limited: lacks, lacks_connections: lacks, ..REFUSES.take(step, &mut random) }
    };
    let (finding, _) = search(SETTINGS, few);
    assert_eq!(finding.bound, Err(NoBound::Connections { at: 800.0 }));
    assert!(finding.explained()[1].contains("--connections"), "{:?}", finding.explained());
}

#[test]
fn accidents_far_below_do_not_hide_that_the_generator_was_the_limit() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut steps = 0;
    let few = |step: Step| {
        steps += 1;
        let lacks = step.rate > 400.0;
        let failed_ratio = if steps % 4 == 1 && !lacks { 0.5 } else { 0.0 };
        let target = Target { capacity: 1e9, ..REFUSES }.take(step, &mut random);
        Outcome { generator_limited: lacks, lacks_connections: lacks, failed_ratio, ..target }
    };
    let (finding, _) = search(SETTINGS, few);
    assert!(matches!(finding.bound, Err(NoBound::Connections { .. })), "{finding:?}");
}

#[test]
fn answers_that_are_too_slow_are_a_bound_though_none_is_refused() {
    let mut random = fastrand::Rng::with_seed(3);
    let slow = |step: Step| {
        let p99_ms = if step.rate > 900.0 { 1_500.0 } else { 20.0 };
        Outcome { p99_ms, ..Target { capacity: 1e9, ..REFUSES }.take(step, &mut random) }
    };
    let bound = search(SETTINGS, slow).0.bound.unwrap();
    assert_eq!(bound.beyond, Bend::Slow);
    assert!(bound.per_second.value <= 900.0 && bound.per_second.high > 900.0, "{bound:?}");
}

#[test]
fn windows_that_are_all_over_the_place_name_no_bound() {
    let finding = found(&Target { noise: 1.0, refuses: false, ..REFUSES });
    let named = finding.bound.as_ref().ok().map(|bound| bound.per_second);
    assert!(named.is_none_or(|bound| bound.high - bound.low < 0.3 * bound.value), "{finding:?}");
    let two = |rate: f64, goodput: Vec<f64>| Outcome {
        offered: rate,
        goodput,
        ..REFUSES
            .take(Step { rate, seconds: 1.0, measured: Measured::Finely }, &mut fastrand::Rng::with_seed(1))
    };
    let steps = [two(100.0, vec![100.0; 4]), two(1_000.0, vec![900.0, 20.0, 500.0, 10.0])];
    assert!(matches!(estimate::find(&steps, 1_000.0).bound, Err(NoBound::Unclear { .. })));
}

#[test]
fn one_step_that_met_an_accident_does_not_end_the_climb() {
    let (mut random, mut steps) = (fastrand::Rng::with_seed(3), 0);
    let stumbles = |step: Step| {
        steps += 1;
        let outcome = Target { capacity: 5_000.0, ..REFUSES }.take(step, &mut random);
        if steps == 3 { Outcome { failed_ratio: 0.5, ..outcome } } else { outcome }
    };
    let bound = search(SETTINGS, stumbles).0.bound.unwrap();
    assert!((bound.per_second.value / 5_000.0 - 1.0).abs() < 0.03, "{bound:?}");
}

#[test]
fn a_target_that_serves_one_at_a_time_is_described_by_the_law() {
    // M/M/1: the time is S / (1 - utilisation) until it is full.
    let finding = found(&Target { service_ms: 1_000.0 / 730.0, noise: 0.0, ..REFUSES });
    let Some(Law::Fits { contention, .. }) = finding.law else { panic!("{finding:?}") };
    assert!(contention.value > 0.9, "everybody waits for everybody: {contention:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_target_does_the_search_ends_and_never_offers_more_than_allowed(
        capacity in 1.0..1e6f64, refuses in any::<bool>(), collapse in 0.0..2.0f64, noise in 0.0..1.0f64,
        from in 0.5..1e3f64, seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let target = Target { capacity, refuses, collapse, noise, service_ms: 3.0 };
        let settings = Settings { from, to: 50_000.0, ..SETTINGS };
        let (finding, steps) = search(settings, |step| {
            assert!(step.rate <= 50_000.0 && step.rate > 0.0);
            target.take(step, &mut random)
        });
        prop_assert!(steps <= 80);
        prop_assert!(!finding.explained().is_empty());
        if let Ok(bound) = &finding.bound {
            prop_assert!(bound.per_second.low <= bound.per_second.value && bound.per_second.value <= bound.per_second.high);
        }
        let json = serde_json::to_string(&finding).unwrap();
        prop_assert!(serde_json::from_str::<Finding>(&json).is_ok(), "{}", json);
    }

    #[test]
    fn a_bound_that_is_there_is_found(capacity in 100.0..20_000.0f64, refuses in any::<bool>(), seed in any::<u64>()) {
        let mut random = fastrand::Rng::with_seed(seed);
        let target = Target { capacity, refuses, ..REFUSES };
        let (finding, _) = search(SETTINGS, |step| target.take(step, &mut random));
        let bound = finding.bound.unwrap();
        prop_assert!((bound.per_second.value / capacity - 1.0).abs() < 0.05, "{:?} of {}", bound, capacity);
    }
}
