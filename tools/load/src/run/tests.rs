use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll::clock::Instant;
use proptest::prelude::*;

use super::books::Batch;
use super::collect::Collected;
use super::desk::{Bounds, Desk};
use super::job::{Found, Job, Source};
use super::seat::Seat;
use crate::mix::{Mix, Request};
use crate::profile::Profile;
use crate::tally::{Class, Counts};
use crate::wire::{Fate, Keeps};

const BOUNDS: Bounds =
    Bounds { connections_open: 1, connections_max: 4, line_max: 5, deadline: Duration::from_millis(100) };

fn desk() -> Rc<Desk> {
    let profile = Profile::steady(1_000.0, Duration::from_secs(60)).unwrap();
    let mix = Mix::new(vec![Request::get("/")]).unwrap();
    let source = Source::new(profile.schedule(0, 1, 1), &mix, vec![false], None, (0, 1), 1);
    let desk = Rc::new(Desk::new(BOUNDS, None, source, Batch::new(0, 1)));
    desk.begin(Instant::from_nanos(0));
    desk
}

/// Somebody at a seat: takes jobs, and finishes each when the test says so.
struct Sitting {
    work: Pin<Box<dyn Future<Output = ()>>>,
    fate: Rc<Cell<Option<Fate>>>,
    hung_up: Rc<Cell<bool>>,
    is_over: bool,
}

impl Sitting {
    fn down(desk: &Rc<Desk>) -> Self {
        let fate: Rc<Cell<Option<Fate>>> = Rc::default();
        let hung_up: Rc<Cell<bool>> = Rc::default();
        let (mut seat, told, end) = (Seat::new(desk), Rc::clone(&fate), Rc::clone(&hung_up));
        let work = Box::pin(async move {
            while let Some(job) = seat.next(|_| if end.get() { Poll::Ready(()) } else { Poll::Pending }).await
            {
                let exchange = poll_fn(|_| told.take().map_or(Poll::Pending, Poll::Ready));
                if seat.carry_out(job, exchange).await.keeps == Keeps::Closed {
                    return;
                }
            }
        });
        Self { work, fate, hung_up, is_over: false }
    }

    fn poll(&mut self) {
        if !self.is_over {
            self.is_over = self.work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    SitDown,
    Look(usize),
    Answer(usize),
    Cut(usize),
    HangUp(usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..30).prop_map(Step::Pass),
        1 => Just(Step::SitDown),
        6 => (0usize..6).prop_map(Step::Look),
        4 => (0usize..6).prop_map(Step::Answer),
        1 => (0usize..6).prop_map(Step::Cut),
        1 => (0usize..6).prop_map(Step::HangUp),
        1 => (0usize..6).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn every_request_that_is_due_is_counted_once_whatever_becomes_of_its_connection(steps in steps()) {
        let desk = desk();
        let mut sitting: Vec<Sitting> = Vec::new();
        let (mut now, mut due, mut counts, mut unfinished) = (0, 0, Counts::default(), 0);
        for step in steps {
            let at = |number: usize| number.checked_rem(sitting.len());
            match step {
                Step::Pass(millis) => now += millis,
                Step::SitDown => sitting.push(Sitting::down(&desk)),
                Step::Look(number) => {
                    if let Some(place) = at(number) {
                        sitting[place].poll();
                    }
                }
                Step::Answer(number) | Step::Cut(number) => {
                    if let Some(place) = at(number) {
                        let keeps = if matches!(step, Step::Cut(_)) { Keeps::Closed } else { Keeps::Open };
                        sitting[place].fate.set(Some(Fate { class: Class::Success, bytes: 1, keeps }));
                        sitting[place].poll();
                    }
                }
                Step::HangUp(number) => {
                    if let Some(place) = at(number) {
                        sitting[place].hung_up.set(true);
                    }
                }
                Step::Leave(number) => {
                    if let Some(place) = at(number) {
                        sitting.swap_remove(place);
                    }
                }
            }
            desk.tick(Instant::from_nanos(now * 1_000_000));
            let batch = desk.close_books();
            due += batch.due.iter().sum::<u64>();
            if let Some(stage) = &batch.stages[0] {
                counts += stage.tally.counts;
                unfinished += stage.tally.unfinished.len();
            }
            let standing = batch.waiting + batch.in_flight + desk.given();
            prop_assert_eq!(due, counts.total() + unfinished + standing);
            prop_assert!(batch.waiting <= 5 + 120, "the line, and what came back to it: {}", batch.waiting);
            prop_assert!(desk.given() == 0 || batch.in_flight + desk.given() <= sitting.len() as u64);
        }
        // Nobody is left: everything comes to an end by its deadline.
        drop(sitting);
        desk.tick(Instant::from_nanos((now + 60_000) * 1_000_000));
        desk.tick(Instant::from_nanos((now + 200_000) * 1_000_000));
        prop_assert_eq!(desk.next_at(), None);
    }
}

#[test]
fn what_waited_longest_is_sent_first() {
    let desk = desk();
    desk.tick(Instant::from_nanos(3_000_000));
    let mut first = Sitting::down(&desk);
    first.poll();
    assert_eq!(desk.close_books().waiting, 3, "one of four is under way");
    // Its deadline is that of the first that was due.
    assert_eq!(desk.next_at(), Some(Instant::from_nanos(4_000_000)));
    desk.tick(Instant::from_nanos(100_000_000));
    first.poll();
    let batch = desk.close_books();
    let counts = batch.stages[0].as_ref().unwrap().tally.counts;
    assert_eq!(counts.of(Class::TimedOut), 1, "the one under way: {counts:?}");
}

#[test]
fn what_falls_due_while_the_generator_stands_still_is_late_by_its_own_doing() {
    let desk = desk();
    let mut only = Sitting::down(&desk);
    only.poll();
    desk.tick(Instant::from_nanos(90_000_000));
    let batch = desk.close_books();
    let stage = batch.stages[0].as_ref().unwrap();
    // One found a free connection and is not under way yet; the others stand in line or were too many.
    assert_eq!((batch.due[0], stage.lateness.len()), (91, 90));
    assert!(stage.lateness.max() >= 88_000, "the first in line was due at 1 ms: {}", stage.lateness.max());
    assert!(stage.lateness.min() < 2_000, "the last one is not late");
}

#[test]
fn what_a_long_pause_leaves_no_time_for_is_not_said_to_be_refused() {
    let desk = desk();
    desk.tick(Instant::from_nanos(1_000_000_000));
    let batch = desk.close_books();
    let stage = batch.stages[0].as_ref().unwrap();
    let counts = stage.tally.counts;
    // A second is ten deadlines, and the line holds five of what was due in the last of them.
    assert_eq!((counts.of(Class::NotConnected), counts.of(Class::WaitedOut)), (0, 0), "{counts:?}");
    assert!(counts.of(Class::Withheld) >= 900, "{counts:?}");
    assert_eq!((batch.due[0], stage.capped), (1_001, 0));
    assert!(batch.held_up <= 101, "only what was looked at in time: {}", batch.held_up);
}

#[test]
fn what_is_sent_late_after_a_pause_is_held_up_by_nobody() {
    let desk = desk();
    let job = |late, found| Job { late, found, ..desk.extra() };
    let after = Duration::from_millis(150);
    let mut batch = Batch::new(0, 1);
    batch.sent(&job(after, Found::Busy), after, 0);
    batch.sent(&job(after, Found::Free), after, 0);
    assert_eq!((batch.sent, batch.on_time, batch.held_up), (2, 0, 0), "the generator came too late");
    batch.sent(&job(Duration::ZERO, Found::Busy), after, 0);
    batch.sent(&job(Duration::ZERO, Found::Capped), after, 0);
    batch.sent(&job(Duration::ZERO, Found::Capped), Duration::from_millis(50), 0);
    let capped = batch.stages[0].as_ref().unwrap().capped;
    assert_eq!((batch.sent, batch.on_time, batch.held_up, capped), (5, 1, 1, 1));
}

#[test]
fn connections_that_the_machine_denies_are_not_the_targets_refusals() {
    let desk = desk();
    desk.tick(Instant::from_nanos(3_000_000));
    assert_eq!(desk.take_wanted().len(), 4);
    desk.denied("Too many open files");
    desk.tick(Instant::from_nanos(4_000_000));
    assert_eq!(desk.take_wanted().len(), 0, "it is not asked again at once");
    desk.tick(Instant::from_nanos(110_000_000));
    let batch = desk.close_books();
    let counts = batch.stages[0].as_ref().unwrap().tally.counts;
    assert_eq!((counts.of(Class::NotConnected), batch.failed, batch.denied), (0, 0, 1), "{counts:?}");
    assert!(counts.of(Class::Withheld) >= 4, "those whose deadline has passed: {counts:?}");
    desk.ask_again();
    desk.tick(Instant::from_nanos(111_000_000));
    assert!(!desk.take_wanted().is_empty());
}

#[test]
fn a_second_is_told_when_every_worker_has_told_of_it() {
    let profile = Profile::steady(10.0, Duration::from_secs(3)).unwrap();
    let mut collected = Collected::new(profile, None, 2);
    let batch = |worker, second, due| {
        let mut batch = Batch::new(worker, 1);
        (batch.second, batch.due[0], batch.sent) = (second, due, due);
        batch
    };
    assert!(!collected.take(batch(0, 1, 5)));
    assert!(!collected.take(batch(0, 2, 5)), "the other may be slow");
    // One that could not tell of its first second tells of two.
    assert!(collected.take(batch(1, 2, 9)));
    assert_eq!(collected.snapshot().seconds, 2);
    assert_eq!(collected.snapshot().second.due, 14);
    let run = collected.finish(Duration::from_millis(2_500), false);
    assert_eq!((run.due(), run.seconds.len()), (19, 2));
}
