//! How the lanes of a map come and go, under every interleaving that loom finds.
//!
//! The lanes themselves are tokio's tasks, which loom does not know; so what they share is taken from
//! its source files, and the steps of a lane are written out here.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_map`
#![cfg(plimsoll_loom)]
#![expect(dead_code, reason = "the files have more than the models use")]

#[path = "../src/map/core.rs"]
mod core;
#[path = "../src/map/flags.rs"]
mod flags;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/unwind.rs"]
mod unwind;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use self::core::{Core, Retired, Seat};
use self::policy::{One, Verdict};

/// What the core knows of a policy, and one that is full with one result.
mod policy {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Verdict {
        GoOn,
        Pause,
        Stop,
    }

    pub(crate) trait Ledger {
        type Value;
        type Error;

        const EACH: bool;

        fn settle(&mut self, result: Result<Self::Value, Self::Error>) -> Verdict;
        fn expect(&mut self, items_max: usize) -> Verdict;
    }

    #[derive(Default)]
    pub(crate) struct One(pub(crate) Option<u32>);

    impl Ledger for One {
        type Value = u32;
        type Error = ();

        const EACH: bool = true;

        fn settle(&mut self, result: Result<u32, ()>) -> Verdict {
            let Ok(value) = result else { return Verdict::Stop };
            assert_eq!(self.0.replace(value), None, "it was full");
            Verdict::Pause
        }

        fn expect(&mut self, _: usize) -> Verdict {
            Verdict::GoOn
        }
    }
}

/// Wakes a thread that loom schedules.
struct Unpark(Notify);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark(Notify::new()));
    let waker = Waker::from(unpark.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => unpark.0.wait(),
        }
    }
}

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn core_of(limit: usize) -> Arc<Core<One>> {
    Arc::new(Core::new(limit, One::default()))
}

/// A lane that found nothing; whether it has to look again.
fn leaves(core: &Core<One>, seat: Seat) -> Retired {
    let retired = core.retire(seat);
    if retired == Retired::Leaves {
        core.leave(seat);
    }
    retired
}

#[test]
fn what_one_lane_finds_while_another_leaves_is_taken_up() {
    model(|| {
        let core = core_of(2);
        let (_finder, leaver) = (core.enter().unwrap(), core.enter().unwrap());
        core.flags.set_more(false);
        let leaving = {
            let core = Arc::clone(&core);
            thread::spawn(move || leaves(&core, leaver))
        };
        core.flags.set_more(true);
        let started = core.flags.want_a_lane().then(|| core.enter()).flatten();
        let retired = leaving.join().unwrap();
        assert!(started.is_some() || retired == Retired::Stays, "nobody looks");
        assert!(core.enter().is_none() || (started.is_some() && retired == Retired::Leaves));
    });
}

#[test]
fn the_owner_wakes_when_the_last_lane_has_left_and_not_before() {
    model(|| {
        let core = core_of(2);
        let seats = [core.enter().unwrap(), core.enter().unwrap()];
        core.flags.set_more(false);
        // Used by the lanes, then by the owner: loom reports a race if leaving does not order it.
        let used = Arc::new(loom::cell::UnsafeCell::new(()));
        let lanes: Vec<_> = seats
            .into_iter()
            .map(|seat| {
                let (core, used) = (Arc::clone(&core), Arc::clone(&used));
                thread::spawn(move || {
                    used.with(|_| ());
                    assert_eq!(leaves(&core, seat), Retired::Leaves);
                })
            })
            .collect();
        let (ledger, panic) = block_on(poll_fn(|cx| core.poll_quiet(cx)));
        assert!(ledger.is_some() && panic.is_none());
        used.with_mut(|_| ());
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
    });
}

#[test]
fn no_lane_enters_after_the_end_that_the_owner_does_not_wait_for() {
    model(|| {
        let core = core_of(2);
        let seat = core.enter().unwrap();
        let failing = {
            let core = Arc::clone(&core);
            thread::spawn(move || {
                let starts = core.flags.want_a_lane().then(|| core.enter()).flatten();
                assert_eq!(core.settle(Err(())), Verdict::Stop);
                // Its task is dropped by the runtime, in whatever order.
                if let Some(started) = starts {
                    core.leave(started);
                }
                assert_eq!(leaves(&core, seat), Retired::Leaves);
            })
        };
        let (ledger, _) = block_on(poll_fn(|cx| core.poll_quiet(cx)));
        assert!(ledger.is_some() && core.enter().is_none() && core.flags.is_stopped());
        failing.join().unwrap();
    });
}

/// Two items in all; what is after them tells that there are no more.
fn lane(core: &Arc<Core<One>>, seat: Seat, next: &Arc<AtomicU64>) -> thread::JoinHandle<()> {
    let (core, next) = (Arc::clone(core), Arc::clone(next));
    thread::spawn(move || {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                item @ 0..2 => assert_eq!(core.settle(Ok(item as u32)), Verdict::Pause),
                _ => core.flags.set_more(false),
            }
            if leaves(&core, seat) == Retired::Leaves {
                return;
            }
        }
    })
}

#[test]
fn a_pause_ends_when_the_owner_has_taken_the_result() {
    model(|| {
        let (core, next) = (core_of(1), Arc::new(AtomicU64::new(0)));
        let mut lanes = vec![lane(&core, core.enter().unwrap(), &next)];
        for expected in [Some(0), Some(1), None] {
            let taken = block_on(poll_fn(|cx| {
                let (polled, resumed) = core.poll_take(cx, |one| one.0.take(), |one| one.0.is_none());
                if resumed {
                    lanes.extend(core.enter().map(|seat| lane(&core, seat, &next)));
                }
                polled
            }));
            assert_eq!(taken, expected);
        }
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
    });
}
