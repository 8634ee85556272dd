//! What a pool's submitters and workers share, under every interleaving that loom finds.
//!
//! The workers themselves are tokio's tasks, which loom does not know; so what they share is taken
//! from its source files, and the steps of a worker are written out here. Not modelled are: the wait
//! of a drain for the last worker, which is a notification of tokio's; delayed jobs and workers that
//! come and go, which need the clockwork, a task too; jobs that are run in the place of whoever waits
//! for them, which need a scope.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_pool`
#![cfg(plimsoll_loom)]
#![expect(dead_code, unreachable_pub, reason = "the files have more than the models use")]

#[path = "../src/pool/core.rs"]
mod core;
#[path = "../src/pool/delayed.rs"]
mod delayed;
#[path = "../src/pool/directory.rs"]
mod directory;
#[path = "../src/pool/elastic.rs"]
mod elastic;
#[path = "../src/pool/entry.rs"]
mod entry;
mod interleaved;
#[path = "../src/pool/queue.rs"]
mod queue;
#[path = "../src/pool/state.rs"]
mod state;
#[path = "../src/pool/submit.rs"]
mod submit;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/pool/ticket.rs"]
mod ticket;
#[path = "../src/pool/turns.rs"]
mod turns;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loom::thread;
use plimsoll::pool::{JobError, Refused};
use plimsoll::{Name, Reason, Rejected, clock};

use self::core::{Core, Parts, Settings};
use self::directory::OneLane;
use self::entry::Entry;
use self::interleaved::{block_on, model, poll_once, polled_and_dropped};
use self::state::{Done, Seat, Task};
use self::submit::submit;
use self::ticket::{Receipt, Ticket};

/// The pool's own: outside of the library there may be more.
#[derive(Clone, Copy)]
enum OnFull {
    Wait,
    WaitUpTo(Duration),
    Reject,
    DropOldest,
    DropNewest,
    RunInCaller,
}

/// What a drain hands back.
struct Left<J> {
    not_started: Vec<J>,
    not_due: Vec<J>,
    abandoned: usize,
    abandoned_keys: Vec<Arc<str>>,
}

/// Counts that are only shown.
mod counters {
    use std::time::Duration;

    use plimsoll::Reason;

    pub(crate) struct Counters;

    impl Counters {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn reject(&self, _: Reason) {}

        pub(crate) fn waited(&self, _: Duration) {}

        pub(crate) fn show(&self, _: &mut crate::registry::Snapshot) {}
    }
}

/// Nobody is shown anything.
mod registry {
    use std::sync::Weak;

    use plimsoll::Name;
    pub(crate) use plimsoll::registry::Kind;

    pub(crate) struct Registration;

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

    pub(crate) fn register<B: Bound>(_: Weak<B>) -> Registration {
        Registration
    }
}

/// Nobody submits in a scope.
mod scope {
    use std::any::Any;
    use std::sync::Arc;

    pub(crate) struct Scope;

    pub(crate) struct Inside;

    impl Scope {
        pub(crate) fn empty() -> Self {
            Self
        }

        pub(crate) fn with_depth(self, _: u8) -> Self {
            self
        }

        pub(crate) fn with_inside(self, _: Arc<Inside>) -> Self {
            self
        }

        pub(crate) fn depth(&self) -> u8 {
            0
        }

        pub(crate) fn inside(&self) -> Option<&Arc<Inside>> {
            None
        }
    }

    impl Inside {
        pub(crate) fn new(_: usize, _: Arc<dyn Any + Send + Sync>, _: Option<Arc<Self>>) -> Arc<Self> {
            Arc::new(Self)
        }

        pub(crate) fn find(&self, _: usize) -> Option<&Arc<dyn Any + Send + Sync>> {
            None
        }
    }

    pub(crate) fn inherited() -> Option<Scope> {
        None
    }
}

/// Nobody is inside of the pool.
mod inline {
    use std::pin::Pin;
    use std::sync::{Arc, Weak};

    use crate::core::Core;
    use crate::entry::Entry;
    use crate::ticket::Promise;

    pub(crate) const DEPTH_MAX: u8 = 0;

    pub(crate) type Inline = Pin<Box<dyn Future<Output = ()> + Send>>;

    pub(crate) type MakeRun<J, T> = fn(J, T);

    pub(crate) struct Claims<T>(pub(crate) Weak<dyn Claim<T>>);

    pub(crate) trait Claim<T>: Send + Sync {}

    impl<J: Send + 'static, T: Send + 'static> Claim<T> for Core<J, T> {}

    pub(crate) fn claim<T>(_: usize, _: &Arc<Promise<T>>) -> Option<Inline> {
        None
    }

    pub(crate) fn run_inline<J, T>(_: Arc<Core<J, T>>, _: Entry<J, T>, _: Option<usize>, _: u8) -> Inline {
        unreachable!("nobody is inside of the pool")
    }
}

/// Nothing is done about failures.
mod failures {
    use std::marker::PhantomData;

    pub(crate) struct Failures<J, T>(PhantomData<fn(J, T)>);

    impl<J, T> Failures<J, T> {
        pub(crate) fn show(&self, _: &mut Vec<(&'static str, u64)>) {}
    }

    #[derive(Default)]
    pub(crate) struct Tries;
}

type Pool = Arc<Core<u8, u8>>;

/// A pool whose workers have started, and have not looked yet.
fn pool(workers: usize, queue: usize) -> Pool {
    let settings = Settings {
        name: Name::UNNAMED,
        workers,
        queue,
        lane_depth: queue,
        delayed: 1,
        on_full: OnFull::Wait,
        job_timeout: None,
    };
    let parts = Parts {
        directory: Box::new(OneLane),
        make_run: |_, _| {},
        start: Box::new(|_, _| None),
        failures: None,
        elastic: None,
    };
    let pool = Arc::new_cyclic(|this| Core::new(this, settings, parts));
    let mut state = pool.lock();
    state.seats.extend((0..workers).map(|_| Seat::Busy));
    state.tasks.extend((0..workers).map(|_| Task::default()));
    state.alive = workers;
    drop(state);
    pool
}

/// A worker that does jobs until it is to go; it returns those it did.
fn worker(pool: &Pool, seat: usize) -> thread::JoinHandle<Vec<u8>> {
    let pool = Arc::clone(pool);
    thread::spawn(move || {
        let (mut done, mut before) = (Vec::new(), None);
        while let Some((lane, entry)) = block_on(poll_fn(|cx| pool.poll_next(seat, &mut before, cx))) {
            let Entry { job, answering, .. } = entry;
            done.push(job);
            answering.answer(Ok(job));
            before = Some((lane, Done::Completed));
        }
        pool.leave(seat, before, None);
        done
    })
}

fn submitted(pool: &Pool, job: u8) -> Ticket<u8> {
    block_on(submit(pool, job)).ok().expect("the pool is open")
}

#[test]
fn an_answer_wakes_whoever_polled_the_ticket_last() {
    model(3, || {
        let (answering, mut ticket) = Ticket::promised(0, 0);
        let answers = thread::spawn(move || answering.answer(Ok(7)));
        let answer = match poll_once(Pin::new(&mut ticket)) {
            Poll::Ready(answer) => answer,
            Poll::Pending => thread::spawn(move || block_on(ticket)).join().unwrap(),
        };
        assert!(matches!(answer, Ok(7)));
        answers.join().unwrap();
    });
}

#[test]
fn an_output_is_dropped_once_with_its_ticket() {
    model(3, || {
        let output = Arc::new(());
        let (answering, ticket) = Ticket::promised(0, 0);
        let answers = {
            let output = Arc::clone(&output);
            thread::spawn(move || answering.answer(Ok(output)))
        };
        let leaves = thread::spawn(move || drop(polled_and_dropped(ticket)));
        answers.join().unwrap();
        leaves.join().unwrap();
        assert_eq!(Arc::strong_count(&output), 1);
    });
}

#[test]
fn no_job_stays_queued_while_every_worker_is_parked() {
    model(2, || {
        let pool = pool(2, 2);
        let workers = [0, 1].map(|seat| worker(&pool, seat));
        let tickets = [1, 2].map(|job| {
            let ticket = submitted(&pool, job);
            let state = pool.lock();
            assert!(state.queue.ready() == 0 || state.parked.is_empty() || state.waking > 0);
            ticket
        });
        for (ticket, job) in tickets.into_iter().zip(1..) {
            assert!(matches!(block_on(ticket), Ok(output) if output == job));
        }
        pool.close();
        let mut done = workers.map(|worker| worker.join().unwrap()).concat();
        done.sort_unstable();
        assert_eq!((done, pool.alive()), (vec![1, 2], 0));
    });
}

#[test]
fn a_submitter_that_leaves_as_it_is_let_in_takes_nobodys_room() {
    model(2, || {
        let pool = pool(1, 1);
        let first = submitted(&pool, 0);
        let leaves = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || polled_and_dropped(submit::<_, _, ()>(&pool, 1)).is_ready())
        };
        let stays = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || submitted(&pool, 2))
        };
        let worker = worker(&pool, 0);
        assert!(matches!(block_on(first), Ok(0)));
        let was_admitted = leaves.join().unwrap();
        assert!(matches!(block_on(stays.join().unwrap()), Ok(2)));
        pool.close();
        let mut done = worker.join().unwrap();
        done.sort_unstable();
        // Who left after it was let in has been admitted, without having seen it.
        assert!(done == [0, 1, 2] || (!was_admitted && done == [0, 2]), "{done:?}");
    });
}

#[test]
fn a_job_beside_the_end_is_done_or_handed_back_or_left() {
    model(3, || {
        let pool = pool(1, 1);
        let first = submitted(&pool, 0);
        let submitter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || match block_on(submit::<_, _, Ticket<u8>>(&pool, 1)) {
                Ok(ticket) => block_on(ticket).map_err(|_| None),
                Err(refused) => Err(Some((refused.job, refused.rejected.reason()))),
            })
        };
        let worker = worker(&pool, 0);
        pool.put_aside();
        let first = block_on(first);
        let second = submitter.join().unwrap();
        let done = worker.join().unwrap();
        let left = pool.take_left();
        assert_eq!((left.abandoned, pool.alive()), (0, 0));
        assert_ne!(done.contains(&0), left.not_started.contains(&0));
        assert_eq!(matches!(first, Ok(0)), done.contains(&0));
        match second {
            Ok(output) => assert!(output == 1 && done.contains(&1) && !left.not_started.contains(&1)),
            Err(None) => assert!(left.not_started.contains(&1) && !done.contains(&1)),
            Err(Some(refused)) => {
                assert_eq!(refused, (1, Reason::Draining));
                assert!(!done.contains(&1) && !left.not_started.contains(&1));
            }
        }
        assert!(done.len() + left.not_started.len() <= 2);
    });
}
