use std::time::Duration;

use super::*;
use crate::profile::{Shape, Stage};
use crate::run::{Generator, Run, Second, StageRun};
use crate::tally::{Class, Counts, Tally};

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
    assert!(check.findings[0].contains("at most 0.06 ms late"), "{:?}", check.findings);
    assert!((check.cpu_micros - 10.0).abs() < 1e-9 && (check.due_per_second - 1e3).abs() < 1e-9);
}

#[test]
fn a_thread_without_processor_time_left_is_the_limit() {
    let mut run = run();
    run.generator.busiest_ratio = 0.95;
    (0..100).for_each(|_| run.stages[0].lateness.record(2_000).unwrap());
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

#[test]
fn what_goes_out_late_without_an_excuse_is_the_generators_rate_error() {
    let mut run = run();
    // All were sent, a fifth of them too late for nobody's sake.
    run.seconds[0].on_time = 800;
    let check = SelfCheck::of(&run, 1e3, None);
    assert!((check.rate_error_ratio - 0.2).abs() < 1e-9, "{}", check.rate_error_ratio);
    assert_eq!(check.limit, Limit::Generator);
    run.seconds[0].capped = 200;
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!((check.limit, check.rate_error_ratio), (Limit::Close, 0.0), "its bound is told apart");
    assert!(check.findings[0].starts_with("20.0 % of what was due waited"), "{:?}", check.findings);
}

#[test]
fn a_pause_in_one_part_of_a_run_makes_the_generator_the_limit() {
    let mut run = run();
    let mut paused = run.stages[0].clone();
    // Two of a hundred: among those of a long first part, one of a thousand.
    (0..20).for_each(|_| paused.lateness.record(200_000).unwrap());
    (0..20_000).for_each(|_| run.stages[0].lateness.record(60).unwrap());
    run.stages.push(paused);
    run.seconds[0].on_time = 2_000;
    (run.generator.pauses, run.generator.longest_pause) = (3, Duration::from_millis(400));
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!(check.limit, Limit::Generator, "{:?}", check.findings);
    assert!(check.findings[1].contains("(times: 3), for 400 ms"), "{:?}", check.findings);
}

#[test]
fn connections_that_the_machine_does_not_give_are_named_with_the_reason() {
    let mut run = run();
    run.generator.connections_denied = 7;
    run.generator.first_denial = Some("Too many open files".to_owned());
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!(check.limit, Limit::Generator);
    assert!(check.findings[0].contains("(Too many open files)"), "{:?}", check.findings);
}

#[test]
fn addresses_that_were_left_out_are_told_beside_what_was_found() {
    let mut run = run();
    run.generator.left_out = vec!["[::1]:80".parse().unwrap()];
    let check = SelfCheck::of(&run, 1e3, None);
    assert_eq!((check.limit, check.findings.len()), (Limit::Target, 2));
    assert!(check.findings[1].contains("[::1]:80"), "{:?}", check.findings);
}
