use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::profile::Shape;
use crate::run::{Generator, Run, Second, Snapshot, StageRun};
use crate::tally::{Class, Tally, histogram};
use crate::vitals::Vitals;

const MS: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(10);

/// What a made-up target does with the requests of a second of a phase.
struct Behaviour {
    refuses: Class,
    refused_ratio: f64,
    lost: (Class, f64),
    /// What it still does after the overload, and with how many.
    afterwards: (Class, f64),
    ms: [u64; 3],
    slow_seconds: u64,
    vitals: fn(usize) -> Option<Vitals>,
}

const SOUND: Behaviour = Behaviour {
    refuses: Class::UnavailableTold,
    refused_ratio: 0.5,
    lost: (Class::TimedOut, 0.0),
    afterwards: (Class::UnavailableTold, 0.0),
    ms: [5, 8, 5],
    slow_seconds: 0,
    vitals: |_| {
        Some(Vitals {
            memory_bytes: Some(50e6),
            descriptors: Some(30.0),
            tasks: Some(12.0),
            started_seconds: Some(7.0),
            ..EMPTY
        })
    },
};

const EMPTY: Vitals = Vitals {
    memory_bytes: None,
    descriptors: None,
    tasks: None,
    threads: None,
    queue: None,
    started_seconds: None,
    processor_seconds: None,
};

fn terms() -> Terms {
    Terms { minutes: 0.65, p99_ms: 100.0, ..Terms::new(100.0) }
}

/// Runs the judge on a target of that behaviour, until the phases are over; at most so many seconds.
fn judged(behaviour: &Behaviour, seconds_max: u64) -> Judge {
    let terms = terms();
    let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
    let lengths = terms.lengths();
    let (mut tallies, mut seconds) = (vec![Tally::default(); 3], Vec::new());
    if let Some(vitals) = (behaviour.vitals)(0) {
        judge.read(When::Before, vitals);
    }
    let total = lengths.iter().sum::<Duration>().as_secs().min(seconds_max);
    let cancelled = total < lengths.iter().sum::<Duration>().as_secs();
    for second in 1..=total {
        let phase = if second <= 30 { 0 } else { usize::from(second > 36) + 1 };
        let mut tally = Tally::default();
        let due = terms.rates()[phase] as u64;
        fill(&mut tally, behaviour, phase, second, due);
        tallies[phase].merge(&tally);
        let seen = Second {
            ends: Duration::from_secs(second),
            stage: phase,
            due,
            completed: tally.summary(),
            ..Second::default()
        };
        seconds.push(seen);
        if let Some(vitals) = (behaviour.vitals)(phase + 1) {
            judge.read(When::In(phase), vitals);
        }
        let snapshot = Snapshot {
            elapsed: Duration::from_secs(second),
            seconds: seconds.len(),
            second: seen,
            stages: tallies.iter().map(Tally::summary).collect(),
            ..Snapshot::default()
        };
        judge.see(&snapshot);
    }
    judge.load_ended(&run(&terms, tallies, seconds, cancelled), None, [None, None, None]);
    judge.settle((behaviour.vitals)(4), Duration::from_secs(60));
    judge.end(Looked::Fully);
    judge
}

fn fill(tally: &mut Tally, behaviour: &Behaviour, phase: usize, second: u64, rate: u64) {
    for number in 0..rate {
        let part = number as f64 / rate as f64;
        let slow = phase == 2 && second - 36 <= behaviour.slow_seconds;
        let ms = if slow { 5_000 } else { behaviour.ms[phase] };
        let class = match phase {
            1 if part < behaviour.refused_ratio => behaviour.refuses,
            1 if part > 1.0 - behaviour.lost.1 => behaviour.lost.0,
            2 if part < behaviour.afterwards.1 => behaviour.afterwards.0,
            _ => Class::Success,
        };
        let ms = if class == Class::TimedOut { 10_000 } else { ms };
        tally.record(class, MS * ms as u32, MS);
    }
}

fn run(terms: &Terms, tallies: Vec<Tally>, seconds: Vec<Second>, cancelled: bool) -> Run {
    let took = seconds.last().map_or(Duration::ZERO, |second| second.ends);
    let stages = tallies.into_iter().enumerate().map(|(phase, tally)| StageRun {
        stage: crate::profile::Stage {
            name: NAMES[phase].to_owned(),
            shape: Shape::Steady { rate: terms.rates()[phase] },
            length: terms.lengths()[phase],
        },
        due: tally.counts.total(),
        tally,
        tenants: Vec::new(),
        lateness: histogram(2),
        capped: 0,
    });
    Run {
        stages: stages.collect(),
        seconds,
        slow: None,
        generator: Generator::new(1),
        took,
        arrivals_stopped: None,
        cancelled,
    }
}

fn state(judge: &Judge, name: &str) -> State {
    judge.assertions().iter().find(|assertion| assertion.name == name).unwrap().state
}

fn broken(judge: &Judge) -> Vec<&str> {
    let broken = judge.assertions().iter().filter(|assertion| assertion.state == State::Broken);
    broken.map(|assertion| assertion.name.as_str()).collect()
}

#[test]
fn a_sound_target_holds_everything() {
    let judge = judged(&SOUND, 99);
    assert!(
        judge.assertions().iter().all(|assertion| assertion.state == State::Held),
        "{:#?}",
        judge.assertions()
    );
    assert_eq!(judge.verdict(), Some(Verdict::Held));
    assert_eq!(Verdict::Held.exit_code(), 0);
}

#[test]
fn a_target_that_queues_without_a_bound_is_broken_by_name() {
    let queues = Behaviour { refused_ratio: 0.0, ms: [5, 4_000, 5], slow_seconds: 9, ..SOUND };
    let judge = judged(&queues, 99);
    assert_eq!(broken(&judge), ["overload.refuses", "overload.p99", "recovery.p99"]);
    assert_eq!(judge.verdict(), Some(Verdict::Broken));
    assert_eq!(state(&judge, "overload.retry_after"), State::NotChecked);
}

#[test]
fn refusals_that_do_not_say_when_to_come_again_are_told() {
    let judge = judged(&Behaviour { refuses: Class::TooManyUntold, ..SOUND }, 99);
    assert_eq!(broken(&judge), ["overload.retry_after"]);
}

#[test]
fn what_is_never_answered_is_as_slow_as_it_was_waited_for() {
    let judge = judged(&Behaviour { lost: (Class::TimedOut, 0.05), ..SOUND }, 99);
    assert_eq!(broken(&judge), ["overload.answers", "overload.p99"]);
}

#[test]
fn a_crash_is_told_by_refused_connections_and_by_a_new_start() {
    let judge = judged(&Behaviour { lost: (Class::NotConnected, 0.01), ..SOUND }, 99);
    assert!(broken(&judge).contains(&"overload.alive"));
    let restarts = |when: usize| {
        Some(Vitals { started_seconds: Some(if when < 3 { 7.0 } else { 99.0 }), ..(SOUND.vitals)(when)? })
    };
    let judge = judged(&Behaviour { vitals: restarts, ..SOUND }, 99);
    assert_eq!(broken(&judge), ["overload.alive"]);
}

#[test]
fn what_is_left_behind_is_told_by_its_kind() {
    let leaks = |when: usize| {
        let vitals = (SOUND.vitals)(when)?;
        let after =
            Vitals { memory_bytes: Some(100e6), descriptors: Some(60.0), tasks: Some(2_000.0), ..vitals };
        Some(if when == 4 { after } else { vitals })
    };
    let judge = judged(&Behaviour { vitals: leaks, ..SOUND }, 99);
    assert_eq!(broken(&judge), ["recovery.memory", "recovery.descriptors", "recovery.tasks"]);
}

#[test]
fn memory_that_grows_under_overload_is_told_and_a_limit_is_obeyed() {
    let grows = |when: usize| {
        let vitals = (SOUND.vitals)(when)?;
        Some(if when == 2 { Vitals { memory_bytes: Some(200e6), ..vitals } } else { vitals })
    };
    let judge = judged(&Behaviour { vitals: grows, ..SOUND }, 99);
    assert_eq!(broken(&judge), ["overload.memory"]);
}

#[test]
fn without_the_targets_numbers_they_are_not_checked_and_nothing_of_them_is_held() {
    let judge = judged(&Behaviour { vitals: |_| None, ..SOUND }, 99);
    for name in ["overload.memory", "recovery.memory", "recovery.descriptors", "recovery.tasks"] {
        assert_eq!(state(&judge, name), State::NotChecked, "{name}");
    }
    assert_eq!(judge.verdict(), Some(Verdict::Held), "what could be checked held");
}

#[test]
fn a_run_that_is_stopped_is_not_judged_on_what_it_has_not_shown() {
    let judge = judged(&SOUND, 20);
    assert_eq!(judge.verdict(), Some(Verdict::NotJudged));
    assert_eq!(
        (state(&judge, "below.success"), state(&judge, "overload.refuses")),
        (State::Open, State::Open)
    );
    assert_eq!(Verdict::NotJudged.exit_code(), 3);
}

#[test]
fn the_quietest_tenant_is_hurt_when_it_is_refused_or_slow_like_the_loud_one() {
    let quiet = |over: (u64, u64, f64)| {
        let quiet =
            Quiet { names: "small".to_owned(), share_ratio: 0.1, phases: [(1_000, 1_000, 5.0), over] };
        verdicts::quiet(&quiet, &terms()).0
    };
    assert_eq!(quiet((200, 200, 9.0)), State::Held);
    assert_eq!(quiet((200, 100, 9.0)), State::Broken, "refused");
    assert_eq!(quiet((200, 200, 90.0)), State::Broken, "slow");
    assert_eq!(quiet((3, 3, 9.0)), State::NotChecked, "too few");
}

#[test]
fn tenants_that_ask_for_more_than_their_part_or_never_succeeded_are_not_judged_as_quiet() {
    let [below, over] = [(1_000, 1_000, 5.0), (200, 100, 9.0)];
    let half = Quiet { names: "b".to_owned(), share_ratio: 0.67, phases: [below, over] };
    assert_eq!(verdicts::quiet(&half, &terms()).0, State::NotChecked);
    let never = Quiet { names: "b".to_owned(), share_ratio: 0.1, phases: [(1_000, 0, 0.0), (200, 0, 0.0)] };
    assert_eq!(verdicts::quiet(&never, &terms()).0, State::NotChecked);
}

#[test]
fn a_target_that_goes_on_refusing_after_the_overload_is_broken() {
    for class in [Class::UnavailableTold, Class::ServerError] {
        let judge = judged(&Behaviour { afterwards: (class, 0.98), ..SOUND }, 99);
        assert_eq!(broken(&judge), ["recovery.p99", "recovery.success"], "{class:?}");
        assert_eq!(judge.verdict(), Some(Verdict::Broken));
    }
}

#[test]
fn what_is_still_out_when_a_run_is_stopped_leaves_its_phase_unjudged() {
    let judge = stopped_with_some_out(600);
    assert_eq!(
        (state(&judge, "below.success"), state(&judge, "overload.answers")),
        (State::Held, State::Open)
    );
    assert_eq!(judge.verdict(), Some(Verdict::NotJudged));
    assert_eq!(state(&stopped_with_some_out(0), "overload.answers"), State::Held);
}

/// Stopped two seconds after the overload, with so many of it not answered.
fn stopped_with_some_out(out: u64) -> Judge {
    let terms = terms();
    let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
    let mut tallies = vec![Tally::default(); 3];
    for (phase, tally) in tallies.iter_mut().enumerate() {
        let seconds = [30, 6, 2][phase];
        (0..seconds).for_each(|_| fill(tally, &SOUND, phase, 40, terms.rates()[phase] as u64));
    }
    let mut run = run(&terms, tallies, Vec::new(), true);
    run.took = Duration::from_secs(38);
    run.stages[1].due += out;
    judge.load_ended(&run, None, [None, None, None]);
    judge.end(Looked::Fully);
    judge
}

#[test]
fn a_phase_is_over_when_what_was_due_in_it_was_answered_or_is_too_late() {
    let terms = terms();
    let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
    let mut tally = Tally::default();
    (0..2_100).for_each(|_| tally.record(Class::Success, MS, MS));
    let mut see = |seconds: u64, in_flight: u64| {
        let elapsed = Duration::from_secs(seconds);
        let second = Second { ends: elapsed, stage: 1, in_flight, ..Second::default() };
        judge.see(&Snapshot { elapsed, second, stages: vec![tally.summary()], ..Snapshot::default() });
        state(&judge, "below.success")
    };
    assert_eq!(see(32, 3), State::Open, "three of it may be out");
    assert_eq!(see(40, 3), State::Open);
    assert_eq!(see(41, 3), State::Held, "what is out now was due later");
}

#[test]
fn a_pause_at_the_end_is_no_relapse_and_two_bad_seconds_are() {
    let seen = |seconds: &[(u64, u64, u64)]| {
        let mut recovery = evidence::Recovery::default();
        for (number, (due, succeeded, ms)) in seconds.iter().enumerate() {
            let mut tally = Tally::default();
            (0..*succeeded).for_each(|_| tally.record(Class::Success, MS * *ms as u32, MS));
            let ends = Duration::from_secs(number as u64 + 1);
            let second = Second { ends, due: *due, completed: tally.summary(), ..Second::default() };
            recovery.see(&second, (Duration::ZERO, Duration::from_secs(9)), 50.0);
        }
        recovery.back_after.map(|after| after.as_secs())
    };
    let (good, slow, hangs) = ((100, 100, 5), (100, 100, 500), (100, 2, 5));
    assert_eq!(seen(&[slow, good, good, good, slow]), Some(1));
    assert_eq!(seen(&[good, good, slow, slow]), None);
    assert_eq!(seen(&[good, good, slow, slow, good, good]), Some(4));
    assert_eq!(seen(&[hangs, hangs, hangs]), None, "few are answered of many that are due");
    assert_eq!(seen(&[good, slow, good, slow]), None);
}

#[test]
fn what_hangs_once_it_seems_to_be_back_is_told() {
    // One in twenty is never answered: each second looks good, since what hangs is not in it.
    let mut recovery = evidence::Recovery::default();
    let mut tally = Tally::default();
    (0..95).for_each(|_| tally.record(Class::Success, MS, MS));
    for second in 1..=10 {
        let ends = Duration::from_secs(second);
        let second = Second { ends, due: 100, completed: tally.summary(), ..Second::default() };
        recovery.see(&second, (Duration::ZERO, Duration::from_secs(10)), 50.0);
    }
    assert!(recovery.back_after.is_some());
    let last = evidence::Phase::default();
    let found = verdicts::stays(&recovery, &last, verdicts::Progress::Over);
    assert_eq!(found, (State::Broken, "950 of 1,000 since it is back succeeded".to_owned()));
}

#[test]
fn a_target_that_collapses_to_a_few_successes_is_broken_though_it_refuses_well() {
    let judge = judged(&Behaviour { refused_ratio: 0.99, ..SOUND }, 99);
    assert_eq!(broken(&judge), ["overload.goodput"]);
}

#[test]
fn a_handful_of_requests_says_nothing() {
    let terms = Terms { minutes: 0.1, ..Terms::new(0.5) };
    let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
    let mut one = Tally::default();
    one.record(Class::Success, MS, MS);
    let mut run = run(&terms, vec![one.clone(), one, Tally::default()], Vec::new(), false);
    run.took = Duration::from_secs(11);
    judge.load_ended(&run, None, [None, None, None]);
    judge.end(Looked::Fully);
    assert!(broken(&judge).is_empty(), "{:#?}", judge.assertions());
    assert_eq!(judge.verdict(), Some(Verdict::NotJudged), "and nothing of it holds");
}

#[test]
fn what_broke_while_the_generator_had_no_connection_left_could_not_be_judged() {
    let terms = terms();
    let behaviour = Behaviour { lost: (Class::WaitedOut, 0.3), refuses: Class::TooManyUntold, ..SOUND };
    let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
    let mut tallies = vec![Tally::default(); 3];
    for (phase, tally) in tallies.iter_mut().enumerate() {
        (0..20).for_each(|_| fill(tally, &behaviour, phase, 60, terms.rates()[phase] as u64));
    }
    let why = Some("raise --connections".to_owned());
    judge.load_ended(&run(&terms, tallies, Vec::new(), false), None, [None, why, None]);
    judge.end(Looked::Fully);
    assert_eq!(state(&judge, "overload.answers"), State::NotJudged);
    assert_eq!(state(&judge, "overload.retry_after"), State::Broken, "that was no lack of connections");
    let seen = &judge.assertions().iter().find(|found| found.name == "overload.answers").unwrap().seen;
    assert!(seen.ends_with("; raise --connections"), "{seen}");
}

#[test]
fn a_process_that_has_ended_is_told_and_one_that_is_not_read_is_not_called_the_same() {
    let told = |process: Process| {
        let terms = terms();
        let mut judge = Judge::new(terms, Tenancy::Alike, DEADLINE);
        judge.read(When::Before, (SOUND.vitals)(0).unwrap());
        judge.not_read(process);
        let mut tallies = vec![Tally::default(); 3];
        for (phase, tally) in tallies.iter_mut().enumerate() {
            fill(tally, &SOUND, phase, 60, terms.rates()[phase] as u64);
        }
        judge.load_ended(&run(&terms, tallies, Vec::new(), false), None, [None, None, None]);
        judge.end(Looked::Fully);
        let alive = judge.assertions().iter().find(|found| found.name == "overload.alive").unwrap().clone();
        (alive.state, alive.seen)
    };
    assert_eq!(told(Process::Ended), (State::Broken, "its process has ended".to_owned()));
    let (state, seen) = told(Process::There);
    assert_eq!(state, State::Held);
    assert!(seen.contains("could not be read"), "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_target_does_everything_is_decided_at_the_end_of_a_full_run(
        refused in 0.0..1.0f64, lost in 0.0..0.5f64, over_ms in 1u64..20_000, slow in 0u64..9, tells in any::<bool>(),
    ) {
        let vitals = if tells { SOUND.vitals } else { |_| None };
        let target = Behaviour {
            refused_ratio: refused, lost: (Class::Cut, lost), ms: [5, over_ms, 5], slow_seconds: slow, vitals, ..SOUND
        };
        let judge = judged(&target, 99);
        prop_assert!(judge.assertions().iter().all(Assertion::is_decided), "{:#?}", judge.assertions());
        let any_broken = !broken(&judge).is_empty();
        prop_assert_eq!(judge.verdict() == Some(Verdict::Broken), any_broken);
    }
}
