//! What a group and its children share, under every interleaving that loom finds.
//!
//! The children themselves are tokio's tasks, which loom does not know; so what they share is taken
//! from its source file, and the steps of a child are written out here. To abort a task is tokio's.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_group`
#![cfg(plimsoll_loom)]
#![expect(dead_code, reason = "the files have more than the models use")]

mod interleaved;
#[path = "../src/group/state.rs"]
mod state;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/unwind.rs"]
mod unwind;

use std::future::{pending, poll_fn};
use std::sync::Arc;

use loom::thread;
use plimsoll::{Name, Reason, Rejected};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;

use self::interleaved::block_on;
use self::registry::Registration;
use self::state::{End, Membership, Place, Policy, Shared, Wanted};

/// What the shared state knows of what children return.
trait Ending: Send + 'static {
    type Value: Send + 'static;
    type Error: Send + 'static;
}

impl Ending for Result<u8, ()> {
    type Value = u8;
    type Error = ();
}

#[derive(PartialEq, Debug)]
enum Failure<E> {
    Failed(E),
    ScopeEnded(scope::Ended),
    Cancelled,
}

#[derive(PartialEq, Debug)]
enum Error<E> {
    Failed { first: E, rest: Vec<E> },
    OutOfReach { wanted: usize, succeeded: usize, errors: Vec<E> },
    ScopeEnded(scope::Ended),
    Cancelled,
}

mod scope {
    #[derive(PartialEq, Debug)]
    pub(crate) struct Ended;
}

/// Counts that are only shown.
mod counters {
    use plimsoll::Reason;

    pub(crate) struct Counters;

    impl Counters {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn reject(&self, _: Reason) {}

        pub(crate) fn show(&self, _: &mut crate::registry::Snapshot) {}
    }
}

/// Nobody is shown anything.
mod registry {
    use plimsoll::Name;
    pub(crate) use plimsoll::registry::{Kind, Registration};

    pub(crate) struct Snapshot {
        pub(crate) limit: u64,
        pub(crate) in_use: u64,
        pub(crate) high_water: u64,
        pub(crate) waiting: u64,
        pub(crate) admitted: u64,
        pub(crate) details: Vec<(&'static str, u64)>,
    }

    impl Snapshot {
        pub(crate) fn new(_: Name, _: Kind) -> Self {
            Self { limit: 0, in_use: 0, high_water: 0, waiting: 0, admitted: 0, details: Vec::new() }
        }
    }

    pub(crate) trait Bound {
        fn snapshot(&self) -> Snapshot;
    }
}

type Group = Arc<Shared<Result<u8, ()>>>;

fn model(body: impl Fn(&Runtime) + Send + Sync + 'static) {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    interleaved::model(3, move || body(&runtime));
}

fn group(limit: usize, policy: Policy) -> Group {
    Arc::new(Shared::new(Name::UNNAMED, limit, policy, None::<Registration>))
}

/// A task that ends only when it is aborted, as the child at `place`.
fn task(runtime: &Runtime, group: &Group, place: Place) -> JoinHandle<()> {
    let task = runtime.spawn(pending());
    group.started(place, task.abort_handle());
    task
}

fn ends(group: &Group, place: Place, result: Result<u8, ()>) -> thread::JoinHandle<()> {
    let mut membership = Membership::new(Arc::clone(group), place);
    thread::spawn(move || membership.end(End::Returned(result)))
}

fn wait(group: &Group, wanted: Wanted) {
    block_on(poll_fn(|cx| group.poll_wanted(wanted, cx)));
}

#[test]
fn the_owner_is_woken_for_a_slot_and_for_quiet() {
    model(|_| {
        let group = group(2, Policy::CollectAll);
        let children = [0, 1].map(|value| ends(&group, group.reserve().unwrap(), Ok(value)));
        wait(&group, Wanted::Slot);
        let third = ends(&group, group.reserve().unwrap(), Ok(2));
        wait(&group, Wanted::Quiet);
        assert_eq!((group.running(), group.join()), (0, Ok(vec![0, 1, 2])));
        for child in children.into_iter().chain([third]) {
            child.join().unwrap();
        }
    });
}

#[test]
fn a_child_that_starts_as_another_fails_is_aborted() {
    model(|runtime| {
        let group = group(2, Policy::FailFast);
        let fails = ends(&group, group.reserve().unwrap(), Err(()));
        match group.reserve() {
            Ok(place) => {
                let task = task(runtime, &group, place);
                fails.join().unwrap();
                for _ in 0..2 {
                    runtime.block_on(tokio::task::yield_now());
                }
                assert!(task.is_finished(), "it was not aborted");
                drop(Membership::new(Arc::clone(&group), place));
            }
            Err(rejected) => {
                assert_eq!(rejected.reason(), Reason::Draining);
                fails.join().unwrap();
            }
        }
        wait(&group, Wanted::Quiet);
        assert_eq!(group.join(), Err(Error::Failed { first: (), rest: Vec::new() }));
    });
}

#[test]
fn cancelling_beside_children_that_end_keeps_what_each_left() {
    model(|_| {
        let group = group(2, Policy::CollectAll);
        let returns = ends(&group, group.reserve().unwrap(), Ok(1));
        let aborted = Membership::new(Arc::clone(&group), group.reserve().unwrap());
        let aborted = thread::spawn(move || drop(aborted));
        group.cancel();
        assert!(group.reserve().is_err(), "a child started after the end");
        wait(&group, Wanted::Quiet);
        assert_eq!(group.join_each(), [Ok(1), Err(Failure::Cancelled)]);
        returns.join().unwrap();
        aborted.join().unwrap();
    });
}
