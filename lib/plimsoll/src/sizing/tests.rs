use std::time::Duration;

use proptest::prelude::*;

use super::usl::{self, Error, NoKnee, Sample};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LEVELS: [f64; 12] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0];

#[test]
fn what_is_no_number_or_zero_is_refused_by_field() {
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e13] {
        assert_eq!(concurrency(bad, SECOND).unwrap_err().field(), "per_second");
        assert_eq!(throughput(bad, SECOND).unwrap_err().field(), "concurrency");
        let flow = Flow { concurrency: 1.0, per_second: bad };
        assert_eq!(flow.time_inside().unwrap_err().field(), "per_second");
        let size = PoolSize { cores: bad, utilisation_ratio: 1.0, wait: SECOND, compute: SECOND };
        assert_eq!(size.workers().unwrap_err().field(), "cores");
        let station = Station { per_second: bad, service: SECOND, servers: 1 };
        assert_eq!(station.waiting().unwrap_err().field(), "per_second");
        assert_eq!(station.servers_for(SECOND).unwrap_err().field(), "per_second");
    }
    for bad in [Duration::ZERO, Duration::MAX] {
        assert_eq!(concurrency(1.0, bad).unwrap_err().field(), "time_inside");
        assert_eq!(throughput(1.0, bad).unwrap_err().field(), "time_inside");
        let station = Station { per_second: 1.0, service: bad, servers: 1 };
        assert_eq!(station.waiting().unwrap_err().field(), "service");
    }
    for bad in [f64::NAN, -0.1, 1.1] {
        assert_eq!(Amdahl::new(bad).unwrap_err().field(), "serial_ratio");
        let size = PoolSize { cores: 1.0, utilisation_ratio: bad, wait: SECOND, compute: SECOND };
        assert_eq!(size.workers().unwrap_err().field(), "utilisation_ratio");
    }
    let refused = concurrency(-3.0, SECOND).unwrap_err().to_string();
    assert_eq!(refused, "sizing: per_second is -3, allowed is a number above 0, at most 1e12");
}

#[test]
fn a_pool_has_a_worker_at_least_and_never_a_million_and_one() {
    let size = PoolSize { cores: 0.1, utilisation_ratio: 0.1, wait: Duration::ZERO, compute: SECOND };
    assert_eq!(size.workers().unwrap(), 1);
    let idle = PoolSize { utilisation_ratio: 0.0, ..size };
    assert_eq!(idle.workers().unwrap_err().field(), "utilisation_ratio");
    let endless = PoolSize { cores: 4.0, wait: 86_400 * SECOND, compute: Duration::from_nanos(1), ..size };
    assert_eq!(endless.workers().unwrap_err().field(), "wait");
    let computes = PoolSize { compute: Duration::ZERO, ..size };
    assert_eq!(computes.workers().unwrap_err().field(), "compute");
}

#[test]
fn a_speed_up_that_no_serial_part_explains_is_refused() {
    assert_eq!(Amdahl::from_speedup(1, 1.0).unwrap_err().field(), "workers");
    for bad in [0.9, 8.1, f64::NAN] {
        assert_eq!(Amdahl::from_speedup(8, bad).unwrap_err().field(), "speedup");
    }
    assert!(Amdahl::from_speedup(8, 8.0).unwrap().serial_ratio().abs() < 1e-12);
}

#[test]
fn a_station_that_is_too_small_is_refused_and_not_estimated() {
    let station = Station { per_second: 100.0, service: Duration::from_millis(10), servers: 1 };
    assert_eq!(station.waiting().unwrap_err().field(), "servers");
    assert_eq!(Station { servers: 0, ..station }.waiting().unwrap_err().field(), "servers");
    assert_eq!(Station { servers: u32::MAX, ..station }.waiting().unwrap_err().field(), "servers");
    let large = Station { per_second: 900_000.0, service: SECOND, servers: 1_000_000 };
    assert!(large.waiting().unwrap().waits_ratio < 1e-9);
    assert!(Station { per_second: 2e6, ..large }.servers_for(SECOND).is_err());
}

#[test]
fn erlang_c_agrees_with_its_printed_values() {
    // Offered 2 to 3 servers: 0.4444; offered 8 to 10: 0.4092; offered 90 to 100: 0.2169.
    for (offered, servers, printed) in [(2.0, 3, 0.4444), (8.0, 10, 0.4092), (90.0, 100, 0.2169)] {
        let waiting = Station { per_second: offered, service: SECOND, servers }.waiting().unwrap();
        assert!((waiting.waits_ratio - printed).abs() < 5e-5, "{waiting:?}");
        assert!((waiting.queue - offered * waiting.mean.as_secs_f64()).abs() < 1e-6, "Little");
        assert_eq!(waiting.quantile(1.0), Duration::MAX);
    }
}

/// What is measured when the law holds, each sample off by a share of up to `noise` at random.
fn measured(contention: f64, coherency: f64, noise: f64, seed: u64) -> Vec<Sample> {
    let mut random = fastrand::Rng::with_seed(seed);
    let sample = |&concurrency: &f64| {
        let others = concurrency - 1.0;
        let exact = 1_000.0 * concurrency / (1.0 + contention * others + coherency * concurrency * others);
        // About normal: the sum of twelve.
        let off: f64 = (0..12).map(|_| random.f64() - 0.5).sum();
        Sample { concurrency, per_second: exact * (1.0 + noise * off) }
    };
    LEVELS.iter().map(sample).collect()
}

#[test]
fn nine_of_ten_fits_hold_the_truth_between_their_bounds() {
    let (contention, coherency) = (0.03_f64, 0.001_f64);
    let knee = ((1.0 - contention) / coherency).sqrt();
    let (mut contention_held, mut coherency_held, mut knee_held) = (0, 0, 0);
    for seed in 0..400 {
        let fit = usl::fit(&measured(contention, coherency, 0.03, seed)).unwrap();
        contention_held += usize::from((fit.contention.low..=fit.contention.high).contains(&contention));
        coherency_held += usize::from((fit.coherency.low..=fit.coherency.high).contains(&coherency));
        let found = fit.knee().unwrap().concurrency;
        knee_held += usize::from((found.low..=found.high).contains(&knee));
        assert!((found.value / knee - 1.0).abs() < 0.2, "{found:?}");
    }
    for held in [contention_held, coherency_held, knee_held] {
        assert!((360..=400).contains(&held), "{held} of 400");
    }
}

#[test]
fn data_that_never_bends_has_no_knee() {
    for seed in 0..400 {
        for contention in [0.0, 0.05] {
            let samples = measured(contention, 0.0, 0.03, seed);
            let fit = usl::fit(&samples).unwrap();
            let knee = fit.knee();
            assert!(knee.is_err(), "seed {seed}: {knee:?}");
        }
    }
}

#[test]
fn a_knee_far_beyond_what_was_measured_is_not_named() {
    let samples = measured(0.01, 1e-6, 0.0, 1);
    let Err(NoKnee::BeyondMeasured { knee, measured }) = usl::fit(&samples).unwrap().knee() else {
        panic!("a knee at 995 was named from 64");
    };
    assert!((knee - 995.0).abs() < 5.0 && (measured - 64.0).abs() < 1e-9);
}

#[test]
fn where_each_that_joins_costs_more_than_it_brings_the_knee_is_at_one() {
    let knee = usl::fit(&measured(1.5, 0.0, 0.0, 1)).unwrap().knee().unwrap();
    assert_eq!((knee.concurrency.value, knee.per_second.round()), (1.0, 1_000.0));
}

#[test]
fn more_than_linear_is_not_a_negative_share() {
    let samples = LEVELS.map(|n| Sample { concurrency: n, per_second: 100.0 * n.powf(1.05) });
    let fit = usl::fit(&samples).unwrap();
    assert!(fit.contention.value >= 0.0 && fit.coherency.value >= 0.0 && fit.contention.low >= 0.0);
    assert!(fit.knee().is_err());
}

#[test]
fn samples_that_are_none_too_few_or_noise_are_refused() {
    let good = measured(0.05, 0.001, 0.0, 1);
    let field = |samples: &[Sample]| match usl::fit(samples).unwrap_err() {
        Error::Invalid(invalid) => invalid.field(),
        other => panic!("{other}"),
    };
    assert_eq!(field(&good[..5]), "samples");
    assert_eq!(field(&[good[0], good[1], good[2], good[0], good[1], good[2]]), "samples");
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let with = |sample| [&good[..], &[sample]].concat();
        assert_eq!(field(&with(Sample { concurrency: bad, per_second: 1.0 })), "concurrency");
        assert_eq!(field(&with(Sample { concurrency: 1.0, per_second: bad })), "per_second");
    }
    let mut random = fastrand::Rng::with_seed(7);
    let noise = LEVELS.map(|n| Sample { concurrency: n, per_second: 10f64.powf(4.0 * random.f64()) });
    assert!(matches!(usl::fit(&noise), Err(Error::TooNoisy { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_fit_recovers_what_the_samples_were_made_from(
        contention in 0.0..0.5f64, coherency in 1e-4..1e-2f64, seed in any::<u64>(),
    ) {
        let fit = usl::fit(&measured(contention, coherency, 0.0, seed)).unwrap();
        prop_assert!((fit.per_second_alone.value / 1_000.0 - 1.0).abs() < 1e-5);
        prop_assert!((fit.contention.value - contention).abs() < 1e-5, "{fit:?}");
        prop_assert!((fit.coherency.value / coherency - 1.0).abs() < 1e-3, "{fit:?}");
        let knee = ((1.0 - contention) / coherency).sqrt();
        prop_assert!((fit.knee().unwrap().concurrency.value / knee - 1.0).abs() < 1e-3);
    }

    #[test]
    fn an_estimate_is_between_its_bounds_whatever_the_samples(
        raw in prop::collection::vec((1.0..1e6f64, 1e-3..1e9f64), 6..40),
    ) {
        let samples: Vec<_> =
            raw.into_iter().map(|(concurrency, per_second)| Sample { concurrency, per_second }).collect();
        if let Ok(fit) = usl::fit(&samples) {
            for estimate in [fit.per_second_alone, fit.contention, fit.coherency] {
                prop_assert!(estimate.value >= 0.0 && estimate.value.is_finite());
                prop_assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
            }
            prop_assert!(fit.error_ratio <= 0.25);
        }
    }

    #[test]
    fn the_knee_is_where_the_curve_is_highest(contention in 0.0..0.9f64, coherency in 1e-3..0.1f64) {
        let fit = usl::fit(&measured(contention, coherency, 0.0, 1)).unwrap();
        let knee = fit.knee().unwrap();
        for around in [0.5, 0.9, 1.1, 2.0] {
            let other = (knee.concurrency.value * around).max(1.0);
            prop_assert!(fit.per_second(other) <= knee.per_second * (1.0 + 1e-9));
        }
    }

    #[test]
    fn more_servers_never_wait_longer_and_the_least_that_is_enough_is_found(
        per_second in 0.1..500.0f64, service_ms in 1u64..200, target_ms in 0u64..100,
    ) {
        let service = Duration::from_millis(service_ms);
        let station = |servers| Station { per_second, service, servers };
        let target = Duration::from_millis(target_ms).max(Duration::from_nanos(1));
        let enough = station(1).servers_for(target).unwrap();
        let mean = station(enough).waiting().unwrap().mean;
        prop_assert!(mean <= target);
        prop_assert!(station(enough + 1).waiting().unwrap().mean <= mean);
        if enough > 1 && let Ok(fewer) = station(enough - 1).waiting() {
            prop_assert!(fewer.mean > target);
        }
    }

    #[test]
    fn a_speed_up_gives_back_the_serial_part_it_was_made_of(serial in 0.0..1.0f64, workers in 2u32..1_000) {
        let speedup = Amdahl::new(serial).unwrap().speedup(workers);
        prop_assert!(speedup >= 1.0 && speedup <= f64::from(workers) + 1e-9);
        let found = Amdahl::from_speedup(workers, speedup.clamp(1.0, f64::from(workers))).unwrap();
        prop_assert!((found.serial_ratio() - serial).abs() < 1e-6);
    }
}
