//! The pool of threads, in real time: what has to happen before something else is waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::{CpuPool, Error};
use crate::group::Group;
use crate::pool::{Cause, GaveUp, JobError, OnFull};
use crate::retry::{Decision, Policy};
use crate::scope::{self, Ended, Scope};
use crate::{Reason, registry};

const MINUTE: Duration = Duration::from_secs(60);

/// A job that tells that it has begun, and waits until it may end.
struct Gate {
    begun: SyncSender<ThreadId>,
    open: Receiver<()>,
}

struct Keeper {
    begun: Receiver<ThreadId>,
    open: SyncSender<()>,
}

fn gate() -> (Gate, Keeper) {
    let ((begin, begun), (open, opened)) = (sync_channel(1), sync_channel(1));
    (Gate { begun: begin, open: opened }, Keeper { begun, open })
}

#[expect(clippy::needless_pass_by_value, reason = "it is the function of a pool, which takes jobs by value")]
fn pass(gate: Gate) -> ThreadId {
    gate.begun.send(thread::current().id()).unwrap();
    gate.open.recv().unwrap();
    thread::current().id()
}

fn gates(name: &str, threads: usize, queue: usize, on_full: OnFull) -> CpuPool<Gate, ThreadId> {
    CpuPool::builder(name, pass).threads(threads).queue(queue).on_full(on_full).build().unwrap()
}

fn detail<J: Send + 'static, T: Send + 'static>(pool: &CpuPool<J, T>, name: &str) -> u64 {
    let snapshot = registry::snapshot().into_iter().find(|bound| bound.name == pool.name()).unwrap();
    snapshot.details.iter().find(|(other, _)| *other == name).unwrap().1
}

/// Blocks the thread on a future, also where the thread does so already.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

#[tokio::test]
async fn jobs_run_on_threads_of_their_own_as_many_as_said() {
    let pool = gates("cpu-threads", 2, 8, OnFull::Reject);
    assert_eq!(pool.threads(), 2);
    let (gates, keepers): (Vec<_>, Vec<_>) = (0..3).map(|_| gate()).unzip();
    let tickets: Vec<_> = gates.into_iter().map(|gate| pool.try_submit(gate).unwrap()).collect();
    let (first, second) = (keepers[0].begun.recv().unwrap(), keepers[1].begun.recv().unwrap());
    assert!(first != second && ![first, second].contains(&thread::current().id()));
    assert!(keepers[2].begun.try_recv().is_err(), "both threads are taken");
    assert_eq!((pool.len(), detail(&pool, "working")), (1, 2));
    for keeper in &keepers {
        keeper.open.send(()).unwrap();
    }
    for ticket in tickets {
        assert_ne!(ticket.await.unwrap(), thread::current().id());
    }
    assert!(pool.drain(MINUTE).await.is_empty());
}

#[tokio::test]
async fn a_full_queue_hands_the_job_back_or_makes_the_submitter_wait_without_blocking_it() {
    let pool = gates("cpu-full", 1, 1, OnFull::Wait);
    let (gates, keepers): (Vec<_>, Vec<_>) = (0..4).map(|_| gate()).unzip();
    let mut gates = gates.into_iter();
    let running = pool.submit(gates.next().unwrap()).await.unwrap();
    keepers[0].begun.recv().unwrap();
    let queued = pool.submit(gates.next().unwrap()).await.unwrap();
    let mut waiting = Box::pin(pool.submit(gates.next().unwrap()));
    let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
    assert!(polled.is_pending(), "the thread of this test goes on");
    let refused = pool.try_submit(gates.next().unwrap()).unwrap_err();
    assert_eq!(refused.rejected.reason(), Reason::QueueFull);
    keepers.iter().for_each(|keeper| keeper.open.send(()).unwrap());
    running.await.unwrap();
    queued.await.unwrap();
    waiting.await.unwrap().await.unwrap();
}

#[tokio::test]
async fn the_oldest_or_the_newest_is_dropped_where_said() {
    for (on_full, dropped) in [(OnFull::DropOldest, 1), (OnFull::DropNewest, 2)] {
        let pool = gates(&format!("cpu-{on_full:?}"), 1, 1, on_full);
        let (gates, keepers): (Vec<_>, Vec<_>) = (0..3).map(|_| gate()).unzip();
        let mut tickets = Vec::new();
        for (n, gate) in gates.into_iter().enumerate() {
            tickets.push(pool.submit(gate).await.unwrap());
            if n == 0 {
                keepers[0].begun.recv().unwrap();
            }
        }
        // Whoever was dropped does not listen.
        for keeper in &keepers {
            let _ = keeper.open.send(());
        }
        for (n, ticket) in tickets.into_iter().enumerate() {
            assert_eq!(matches!(ticket.await, Err(JobError::Dropped)), n == dropped, "{on_full:?} {n}");
        }
    }
}

#[tokio::test]
async fn pond_56_a_panicking_job_strands_nobody_and_ends_no_thread() {
    let job = |n: u32| {
        assert!(!n.is_multiple_of(3), "every third");
        n
    };
    let pool = CpuPool::builder("cpu-panic", job).threads(2).queue(64).build().unwrap();
    let tickets: Vec<_> = (0..30).map(|n| (n, pool.try_submit(n).unwrap())).collect();
    for (n, ticket) in tickets {
        match ticket.await {
            Ok(output) => assert_eq!(output, n),
            Err(JobError::Panicked(panic)) => {
                assert_eq!((n % 3, panic.message().as_str()), (0, "every third"));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(pool.drain(MINUTE).await.is_empty());
    assert_eq!((detail(&pool, "panicked"), detail(&pool, "completed")), (10, 20));
}

#[tokio::test]
async fn a_job_runs_in_its_scope_and_is_not_started_after_it() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let job = move |gate: Option<Gate>| {
        count.fetch_add(1, Ordering::SeqCst);
        gate.map(pass);
        scope::current().label_value("tenant").map(str::to_owned)
    };
    let pool = CpuPool::builder("cpu-scope", job).threads(1).queue(8).build().unwrap();
    let (gate, keeper) = gate();
    let running = Scope::new().label("tenant", "acme").run(pool.submit(Some(gate))).await.unwrap().unwrap();
    keeper.begun.recv().unwrap();
    let cancelled = Scope::new();
    let queued = cancelled.clone().run(pool.submit(None)).await.unwrap().unwrap();
    cancelled.cancel();
    keeper.open.send(()).unwrap();
    assert_eq!(running.await.unwrap().as_deref(), Some("acme"));
    assert!(matches!(queued.await, Err(JobError::ScopeEnded(Ended::Cancelled))));
    assert_eq!(pool.submit(None).await.unwrap().await.unwrap(), None, "and no other's scope");
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_dropped_ticket_or_submission_loses_no_job_that_was_admitted() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&done);
    let job = move |(n, gate): (u32, Option<Gate>)| {
        gate.map(pass);
        log.lock().unwrap().push(n);
    };
    let pool = CpuPool::builder("cpu-drops", job).threads(1).queue(1).build().unwrap();
    let (gate, keeper) = gate();
    drop(pool.submit((0, Some(gate))).await.unwrap());
    keeper.begun.recv().unwrap();
    drop(pool.submit((1, None)).await.unwrap());
    for polls in 0..4 {
        let mut waiting = Box::pin(pool.submit((9, None)));
        for _ in 0..polls {
            assert!(poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await.is_pending());
        }
    }
    keeper.open.send(()).unwrap();
    assert!(pool.drain(MINUTE).await.is_empty());
    assert_eq!(*done.lock().unwrap(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ants_197_blocking_on_the_own_pool_does_not_deadlock() {
    type Jobs = CpuPool<u32, u32>;
    for threads in [1, 2] {
        let slot: Arc<OnceLock<Weak<Jobs>>> = Arc::default();
        let inner = Arc::clone(&slot);
        let job = move |n: u32| {
            let (Some(pool), true) = (inner.get().and_then(Weak::upgrade), n > 0) else { return 0 };
            block_on(async {
                // The second finds no room, both find no thread: they are done here.
                let (first, second) = (pool.submit(n - 1).await.unwrap(), pool.submit(n - 1).await.unwrap());
                first.await.unwrap().max(second.await.unwrap()) + 1
            })
        };
        let pool = CpuPool::builder("cpu-nested", job).threads(threads).queue(1).build().unwrap();
        let pool = Arc::new(pool);
        slot.set(Arc::downgrade(&pool)).unwrap();
        assert_eq!(pool.submit(5).await.unwrap().await.unwrap(), 5);
    }
}

#[tokio::test]
async fn a_parallel_iterator_in_a_job_runs_on_the_threads_of_the_pool() {
    let both = Arc::new(Barrier::new(2));
    let job = move |()| {
        let both = Arc::clone(&both);
        // Each of the two waits for the other: on one thread alone it would not end.
        let threads: Vec<_> = (0..2)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| {
                both.wait();
                rayon::current_num_threads()
            })
            .collect();
        threads
    };
    let pool = CpuPool::builder("cpu-parallel", job).threads(2).queue(8).build().unwrap();
    assert_eq!(pool.submit(()).await.unwrap().await.unwrap(), [2, 2]);
}

#[tokio::test]
async fn failed_jobs_are_tried_again_and_end_as_dead_letters() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let job = move |n: u32| {
        let attempt = count.fetch_add(1, Ordering::SeqCst) + 1;
        if attempt < n { Err(format!("attempt {attempt}")) } else { Ok(attempt) }
    };
    let (sender, mut letters) = mpsc::channel(8);
    let policy = Policy::schedule([Duration::ZERO; 2]);
    let pool = CpuPool::builder("cpu-retry", job).threads(1).queue(8).delayed(8);
    let pool = pool.retry(policy, |_| Decision::Retry).dead_letters(sender).build().unwrap();
    assert_eq!(pool.submit(3).await.unwrap().await.unwrap(), Ok(3));
    assert_eq!(pool.submit(9).await.unwrap().await.unwrap(), Err("attempt 6".into()));
    let letter = letters.recv().await.unwrap();
    assert_eq!(
        (letter.job, letter.cause, letter.attempts, letter.error.as_str()),
        (9, Cause::Failed, 3, "attempt 6")
    );
    assert!(matches!(letter.gave_up, GaveUp::Policy(_)));
}

#[tokio::test(start_paused = true)]
async fn a_drain_goes_without_a_job_that_computes_on_and_hands_back_the_queued() {
    let pool = gates("cpu-drain", 1, 8, OnFull::Reject);
    let ((first, keeper), (second, _other)) = (gate(), gate());
    let running = pool.try_submit(first).unwrap();
    keeper.begun.recv().unwrap();
    let queued = pool.try_submit(second).unwrap();
    let left = pool.drain(MINUTE).await;
    assert_eq!((left.not_started.len(), left.abandoned), (1, 1));
    assert!(matches!(queued.await, Err(JobError::Cancelled)));
    keeper.open.send(()).unwrap();
    assert!(running.await.is_ok(), "it ends in its own time, and says so");
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_threads_after_the_job_that_runs() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let job = move |gate: Gate| {
        let _held = &held;
        pass(gate)
    };
    let pool = CpuPool::builder("cpu-last", job).threads(2).queue(8).build().unwrap();
    let (gate, keeper) = gate();
    let ticket = pool.clone().submit(gate).await.unwrap();
    keeper.begun.recv().unwrap();
    drop(pool);
    keeper.open.send(()).unwrap();
    assert!(ticket.await.is_ok());
    until(|| Arc::strong_count(&alive) == 1).await;
    assert!(registry::snapshot().iter().all(|bound| bound.name.as_str() != "cpu-last"));
}

#[tokio::test]
async fn a_closure_is_run_and_its_result_or_panic_comes_back() {
    let cpu = CpuPool::closures("cpu-closures").threads(2).queue(8).build().unwrap();
    let text = String::from("abc");
    assert_eq!(cpu.run(move || text.len()).await.unwrap(), 3);
    assert_ne!(cpu.run(|| thread::current().id()).await.unwrap(), thread::current().id());
    let panicked = cpu.run(|| -> u32 { panic!("no result") }).await.unwrap_err();
    assert!(matches!(&panicked, Error::Job(JobError::Panicked(panic)) if panic.message() == "no result"));
    assert_eq!(panicked.to_string(), "the job panicked: no result");
    assert!(cpu.drain(MINUTE).await.is_empty());
    let refused = cpu.run(|| ()).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(rejected) if rejected.reason() == Reason::Draining));
}

#[tokio::test]
async fn configuration_out_of_range_is_refused_by_field_before_a_thread_is_started() {
    let builder = || CpuPool::builder("cpu-bad", |n: u32| n).threads(1).queue(8);
    assert_eq!(builder().threads(0).build().unwrap_err().field(), "threads");
    assert_eq!(builder().threads(1_025).build().unwrap_err().field(), "threads");
    assert_eq!(builder().queue(0).build().unwrap_err().field(), "queue");
    assert_eq!(builder().lane_depth(9).build().unwrap_err().field(), "lane_depth");
    assert_eq!(builder().delayed(0).build().unwrap_err().field(), "delayed");
    assert_eq!(builder().panics_max(2).build().unwrap_err().field(), "panics_max");
    assert_eq!(builder().on_full(OnFull::RunInCaller).build().unwrap_err().field(), "on_full");
    assert_eq!(CpuPool::builder("", |n: u32| n).queue(8).build().unwrap_err().field(), "name");
    let default = CpuPool::builder("cpu-default", |n: u32| n).queue(8).build().unwrap();
    assert!((1..=1_024).contains(&default.threads()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_many_tasks_every_job_is_done_once() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let job = move |n: usize| {
        count.fetch_add(1, Ordering::SeqCst);
        n
    };
    let pool =
        CpuPool::builder("cpu-many", job).threads(3).queue(4).lanes(|n: &usize| n % 5).build().unwrap();
    let mut group = Group::new(4).unwrap();
    for submitter in 0..4 {
        let pool = pool.clone();
        group
            .spawn(async move {
                for n in 0..500 {
                    let n = submitter * 500 + n;
                    assert_eq!(pool.submit(n).await.unwrap().await.unwrap(), n);
                }
            })
            .await;
    }
    group.join().await.unwrap();
    assert!(pool.drain(MINUTE).await.is_empty());
    assert_eq!(done.load(Ordering::SeqCst), 2_000);
}

#[tokio::test]
async fn jobs_that_nobody_waits_for_are_done() {
    let sum = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&sum);
    let add = move |n: u64| total.fetch_add(n, Ordering::SeqCst);
    let pool = CpuPool::builder("cpu-execute", add).threads(2).queue(8).build().unwrap();
    for n in 1..=100 {
        pool.execute(n).await.unwrap();
    }
    while pool.try_execute(1_000).is_err() {
        yield_now().await;
    }
    assert!(pool.drain(Duration::from_secs(60)).await.is_empty());
    assert_eq!(sum.load(Ordering::SeqCst), 6_050);
}
