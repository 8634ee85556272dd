//! What a pool's submitters and workers share, under every interleaving that loom finds.
//!
//! The workers and the clockwork are tokio's tasks, which loom does not know; so what they share is
//! taken from its source files, and the steps of each are written out here. Not modelled are: the sleep
//! of the clockwork, which is a timer and a notification of tokio's; workers that come and go.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_pool`
#![cfg(plimsoll_loom)]
#![expect(dead_code, unreachable_pub, reason = "the files have more than the models use")]

#[path = "../src/pool/attempt.rs"]
mod attempt;
#[path = "../src/pool/clockwork.rs"]
mod clockwork;
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
#[path = "../src/pool/gone.rs"]
mod gone;
#[path = "../src/pool/inline.rs"]
mod inline;
mod interleaved;
#[path = "../src/label.rs"]
mod label;
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
#[path = "../src/unwind.rs"]
mod unwind;
#[path = "../src/waiters.rs"]
mod waiters;

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::Duration;

use loom::thread;
use plimsoll::clock::Instant;
use plimsoll::pool::{JobError, Refused};
use plimsoll::{Invalid, Name, Reason, Rejected, clock, retry};

use self::clockwork::Again;
use self::core::{Core, Parts, Settings};
use self::directory::OneLane;
use self::entry::{Entry, More};
use self::gone::Gone;
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

/// No job panics.
struct Panic;

impl Panic {
    fn new(_: Box<dyn Any + Send>) -> plimsoll::pool::Panic {
        unreachable!("no job panics")
    }
}

/// A scope says only inside of which pool it is, and how deep.
mod scope {
    use std::any::Any;
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::time::Duration;

    loom::thread_local! {
        static CURRENT: RefCell<Option<Scope>> = RefCell::new(None);
    }

    #[derive(Clone)]
    pub(crate) struct Scope(u8, Option<Arc<Inside>>);

    pub(crate) struct Inside(usize, Arc<dyn Any + Send + Sync>);

    pub(crate) enum Stop {
        Ended(plimsoll::scope::Ended),
        Limit,
    }

    impl Scope {
        pub(crate) fn empty() -> Self {
            Self(0, None)
        }

        pub(crate) fn with_depth(self, depth: u8) -> Self {
            Self(depth, self.1)
        }

        pub(crate) fn with_inside(self, inside: Arc<Inside>) -> Self {
            Self(self.0, Some(inside))
        }

        pub(crate) fn depth(&self) -> u8 {
            self.0
        }

        pub(crate) fn inside(&self) -> Option<&Arc<Inside>> {
            self.1.as_ref()
        }
    }

    impl Inside {
        pub(crate) fn new(
            id: usize,
            handle: Arc<dyn Any + Send + Sync>,
            outer: Option<Arc<Self>>,
        ) -> Arc<Self> {
            assert!(outer.is_none(), "there is one pool");
            Arc::new(Self(id, handle))
        }

        pub(crate) fn find(&self, id: usize) -> Option<&Arc<dyn Any + Send + Sync>> {
            Some(&self.1).filter(|_| self.0 == id)
        }
    }

    pub(crate) fn inherited() -> Option<Scope> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// What this thread does from now on, it does inside of a pool.
    pub(crate) fn go_inside(inside: &Arc<Inside>) {
        CURRENT.with(|current| *current.borrow_mut() = Some(Scope(0, Some(Arc::clone(inside)))));
    }

    /// What runs within does not look at its scope.
    pub(crate) async fn within<F: Future>(
        future: F,
        _: Option<Scope>,
        _: Option<Duration>,
    ) -> Result<F::Output, Stop> {
        Ok(future.await)
    }
}

/// Nothing is done about failures.
mod failures {
    use std::marker::PhantomData;

    use crate::core::{Core, Done};
    use crate::entry::More;
    use crate::ticket::{Answer, Answering};

    pub(crate) struct Failures<J, T>(PhantomData<fn(J, T)>);

    pub(crate) struct Spare<J>(J);

    impl<J: Send + 'static, T: Send + 'static> Failures<J, T> {
        pub(crate) fn show(&self, _: &mut Vec<(&'static str, u64)>) {}

        pub(crate) fn spare(&self, _: &J, _: Option<&More>) -> Spare<J> {
            unreachable!("nothing is done about failures")
        }

        pub(crate) fn after(
            &self,
            _: &Core<J, T>,
            _: Spare<J>,
            _: Answer<T>,
            _: Done,
            _: Answering<T>,
        ) -> Done {
            unreachable!("nothing is done about failures")
        }
    }

    #[derive(Default)]
    pub(crate) struct Tries;
}

type Pool = Arc<Core<u8, u8>>;

/// A pool whose workers have started, and have not looked yet.
fn pool(workers: usize, queue: usize) -> Pool {
    pool_that(OnFull::Wait, workers, queue, |job| job)
}

/// A pool with what it does when it is full, and how it does a job in the place of who waits for it.
fn pool_that(
    on_full: OnFull,
    workers: usize,
    queue: usize,
    run: impl Fn(u8) -> u8 + Send + Sync + 'static,
) -> Pool {
    let settings = Settings {
        name: Name::UNNAMED,
        workers,
        queue,
        lane_depth: queue,
        delayed: 1,
        on_full,
        job_timeout: None,
    };
    let parts = Parts {
        directory: Box::new(OneLane),
        make_run: Arc::new(move |job| Box::pin(std::future::ready(run(job)))),
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

/// When delayed jobs are due.
const DUE: Instant = Instant::from_nanos(5);

/// The clockwork, which wakes up when they are.
fn clockwork(pool: &Pool) -> thread::JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || assert_eq!(pool.tick(DUE), None))
}

/// A pool with one worker and a queue of one that counts what is done in the place of who waits.
fn counting(on_full: OnFull, here: &Arc<AtomicU8>) -> Pool {
    let here = Arc::clone(here);
    pool_that(on_full, 1, 1, move |job| {
        here.fetch_add(1, Ordering::Relaxed);
        job
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
        assert_eq!((done, pool.lock().alive), (vec![1, 2], 0));
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
        let state = pool.lock();
        assert_eq!((state.queue.waiting(), state.queue.ready()), (0, 0));
    });
}

#[test]
fn a_submitter_that_left_waits_no_more() {
    model(3, || {
        let pool = pool(1, 1);
        let first = submitted(&pool, 0);
        let worker = worker(&pool, 0);
        let was_admitted = polled_and_dropped(submit::<_, _, ()>(&pool, 1)).is_ready();
        // Nobody else waits; who was let in while it left is queued, or done.
        assert_eq!(pool.lock().queue.waiting(), 0);
        assert!(matches!(block_on(first), Ok(0)));
        assert!(matches!(block_on(submitted(&pool, 2)), Ok(2)));
        pool.close();
        let done = worker.join().unwrap();
        assert!(done == [0, 1, 2] || (!was_admitted && done == [0, 2]), "{done:?}");
    });
}

#[test]
fn the_last_worker_to_go_ends_every_drain() {
    model(2, || {
        let pool = pool(2, 1);
        let job = submitted(&pool, 1);
        let workers = [0, 1].map(|seat| worker(&pool, seat));
        pool.close();
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || block_on(Gone::new(&pool)))
        };
        // One that gives up takes nobody's word, nor leaves its place.
        let is_over = polled_and_dropped(Gone::new(&pool)).is_ready();
        assert!(!is_over || pool.lock().alive == 0);
        block_on(Gone::new(&pool));
        assert_eq!(pool.lock().alive, 0);
        assert!(matches!(block_on(job), Ok(1)));
        other.join().unwrap();
        assert_eq!(pool.lock().drains.queued(), 0);
        assert_eq!(workers.map(|worker| worker.join().unwrap()).concat(), [1]);
    });
}

#[test]
fn a_job_that_is_due_beside_the_end_is_done_or_handed_back() {
    model(3, || {
        let pool = pool(1, 1);
        let Ok(ticket) = pool.submit_at(7, None, DUE) else { unreachable!("there is room") };
        let clockwork = clockwork(&pool);
        let worker = worker(&pool, 0);
        pool.close();
        let answer = block_on(ticket);
        clockwork.join().unwrap();
        let done = worker.join().unwrap();
        let left = pool.take_left();
        match answer {
            Ok(output) => assert_eq!((output, done, left.not_due), (7, vec![7], vec![])),
            Err(JobError::Cancelled) => assert_eq!((done, left.not_due), (vec![], vec![7])),
            Err(other) => unreachable!("{other}"),
        }
        assert!(left.not_started.is_empty());
    });
}

#[test]
fn a_job_that_is_due_finds_a_worker_whoever_submits_beside() {
    model(2, || {
        let pool = pool(1, 1);
        let worker = worker(&pool, 0);
        let Ok(late) = pool.submit_at(7, None, DUE) else { unreachable!("there is room") };
        let clockwork = clockwork(&pool);
        let now = submitted(&pool, 1);
        assert!(matches!(block_on(now), Ok(1)));
        assert!(matches!(block_on(late), Ok(7)));
        clockwork.join().unwrap();
        pool.close();
        let mut done = worker.join().unwrap();
        done.sort_unstable();
        assert_eq!(done, [1, 7]);
    });
}

#[test]
fn a_retry_is_paid_for_when_it_is_kept() {
    model(3, || {
        let pool = pool(1, 1);
        let (paid, kept) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU8::new(0)));
        let fails = |job| {
            let (pool, paid, kept) = (Arc::clone(&pool), Arc::clone(&paid), Arc::clone(&kept));
            thread::spawn(move || {
                let (answering, ticket) = Ticket::promised(pool.id, 0);
                let entry = Entry::new(job, answering, Some(Box::<More>::default()));
                let pay = || {
                    paid.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                };
                match pool.again(entry, DUE, pay) {
                    Again::Delayed => drop(kept.fetch_add(1, Ordering::Relaxed)),
                    Again::PutAside(answering) => answering.answer(Err(JobError::Dropped)),
                    Again::NoRoom(entry, _) => entry.answering.answer(Ok(job)),
                    Again::NotPaid(..) => unreachable!("there is enough"),
                }
                ticket
            })
        };
        let tickets = [1, 2].map(fails);
        pool.close();
        let answers = tickets.map(|ticket| block_on(ticket.join().unwrap()));
        let left = pool.take_left().not_due;
        for (answer, job) in answers.into_iter().zip(1..) {
            // Refused, and not handed back; or handed back, from where it waited or when it was to.
            assert_eq!(left.contains(&job), answer.is_err());
        }
        let paid = paid.load(Ordering::Relaxed);
        assert_eq!(paid, kept.load(Ordering::Relaxed));
        assert!(paid <= 1 || left.len() == 2, "there is room for one at a time");
    });
}

#[test]
fn a_job_is_done_once_by_a_worker_or_by_whoever_waits_for_it() {
    model(3, || {
        let here = Arc::new(AtomicU8::new(0));
        let pool = counting(OnFull::Wait, &here);
        let ticket = submitted(&pool, 7);
        let worker = worker(&pool, 0);
        scope::go_inside(&pool.inside);
        assert!(matches!(block_on(ticket), Ok(7)));
        pool.close();
        let done = worker.join().unwrap();
        assert_eq!(done.len() + usize::from(here.load(Ordering::Relaxed)), 1);
        let state = pool.lock();
        assert_eq!((state.working, state.counts.done[Done::Completed as usize]), (0, 1));
    });
}

#[test]
fn a_job_that_is_due_is_done_by_whoever_waits_for_it_in_the_only_worker() {
    model(3, || {
        let here = Arc::new(AtomicU8::new(0));
        let pool = counting(OnFull::Wait, &here);
        let Ok(ticket) = pool.submit_at(7, None, DUE) else { unreachable!("there is room") };
        let clockwork = clockwork(&pool);
        scope::go_inside(&pool.inside);
        assert!(matches!(block_on(ticket), Ok(7)));
        clockwork.join().unwrap();
        assert_eq!(here.load(Ordering::Relaxed), 1);
        let state = pool.lock();
        assert_eq!((state.working, state.queue.ready()), (0, 0));
    });
}

#[test]
fn a_full_pool_runs_in_its_caller_what_its_worker_does_not() {
    model(2, || {
        let here = Arc::new(AtomicU8::new(0));
        let pool = counting(OnFull::RunInCaller, &here);
        let worker = worker(&pool, 0);
        let tickets = [1, 2].map(|job| submitted(&pool, job));
        for (ticket, job) in tickets.into_iter().zip(1..) {
            assert!(matches!(block_on(ticket), Ok(output) if output == job));
        }
        pool.close();
        let done = worker.join().unwrap();
        assert_eq!(done.len() + usize::from(here.load(Ordering::Relaxed)), 2);
        let state = pool.lock();
        assert_eq!((state.counts.admitted, state.counts.done[Done::Completed as usize]), (2, 2));
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
        assert_eq!((left.abandoned, pool.lock().alive), (0, 0));
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
