use std::time::Duration;

use super::*;
use crate::profile::{Shape, Stage};
use crate::run::{Generator, Run, Second, StageRun};
use crate::tally::{Class, Counts, Tally, histogram};

/// A run of a second that sent all that was due.
fn run() -> Run {
    let mut counts = Counts::default();
    (0..1_000).for_each(|_| counts.add(Class::Success));
    let tally = Tally { counts, ..Tally::default() };
    let stage =
        Stage { name: "a".into(), shape: Shape::Steady { rate: 1e3 }, length: Duration::from_secs(1) };
    let second =
        Second { ends: Duration::from_secs(1), due: 1_000, sent: 1_000, on_time: 1_000, ..Second::default() };
    let mut generator = Generator::new(1);
    (0..1_000).for_each(|_| generator.lateness.record(60).unwrap());
    generator.cpu = Duration::from_millis(10);
    generator.busiest_ratio = 0.01;
    let stage = StageRun {
        stage,
        due: 1_000,
        tally,
        tenants: Vec::new(),
        lateness: generator.lateness.clone(),
        capped: 0,
    };
    Run {
        stages: vec![stage],
        seconds: vec![second],
        slow: None,
        generator,
        took: Duration::from_secs(1),
        arrivals_stopped: None,
        cancelled: false,
    }
}

#[test]
fn a_generator_that_kept_up_says_so_in_numbers() {
    let check = SelfCheck::of(&run(), 1e3, None);
    assert_eq!((check.limit, check.findings.len()), (Limit::Target, 1));
    assert!(check.findings[0].contains("within 0.06 ms"), "{:?}", check.findings);
    assert!((check.cpu_micros - 10.0).abs() < 1e-9 && (check.due_per_second - 1e3).abs() < 1e-9);
}

#[test]
fn a_thread_without_processor_time_left_is_the_limit() {
    let mut run = run();
    run.generator.busiest_ratio = 0.95;
    run.generator.lateness = histogram(2);
    (0..100).for_each(|_| run.generator.lateness.record(2_000).unwrap());
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!(check.limit, Limit::Generator);
    assert!(check.findings[0].contains("95 % of a processor"), "the worst first: {:?}", check.findings);
    assert!(check.findings[1].contains("2.0 ms or more"), "{:?}", check.findings);
}

#[test]
fn late_timers_say_that_the_machine_is_busy() {
    let mut run = run();
    (0..100).for_each(|_| run.generator.lag.record(20_000).unwrap());
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!(check.limit, Limit::Generator);
    assert!(check.findings[0].contains("another one than the target"));
}

#[test]
fn requests_that_found_no_connection_are_the_targets_doing() {
    let mut run = run();
    (run.seconds[0].sent, run.seconds[0].on_time, run.seconds[0].held_up) = (400, 400, 600);
    assert_eq!(SelfCheck::of(&run, 1e3, None).limit, Limit::Target);
    run.seconds[0].held_up = 0;
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!(check.limit, Limit::Generator, "600 are nowhere");
    assert!((check.rate_error_ratio - 0.6).abs() < 1e-9);
}

#[test]
fn a_rate_near_the_ceiling_is_close() {
    let ceiling = Ceiling { per_second: 1_050.0, cpu_micros: 952.0, requests: 10 };
    let check = SelfCheck::of(&run(), 1e3, Some(ceiling));
    assert_eq!(check.limit, Limit::Close);
    assert!(check.findings[0].contains("for 1050 (952.0 us each)"), "{:?}", check.findings);
    let json = serde_json::to_value(&check).unwrap();
    assert_eq!((json["limit"].as_str(), json["ceiling"]["requests"].as_u64()), (Some("close"), Some(10)));
}
