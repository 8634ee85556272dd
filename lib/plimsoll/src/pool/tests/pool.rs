use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use super::{seen, settle};
use crate::group::Group;
use crate::pool::{Builder, Calls, JobError, OnFull, Pool, Refused, Ticket, Worker};
use crate::scope::{self, Ended, Scope};
use crate::{Reason, registry};

const SECOND: Duration = Duration::from_secs(1);

async fn takes_a_second(n: u32) -> u32 {
    sleep(SECOND).await;
    n
}

fn slow(workers: usize, queue: usize, on_full: OnFull) -> Pool<u32, u32> {
    Pool::builder("pool-test", takes_a_second).workers(workers).queue(queue).on_full(on_full).build().unwrap()
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

fn reason<T>(result: Result<T, Refused<u32>>) -> (u32, Reason) {
    let Err(refused) = result else { panic!("it was admitted") };
    (refused.job, refused.rejected.reason())
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_rejects_and_hands_the_job_back() {
    let pool = slow(1, 2, OnFull::Reject);
    let first = pool.submit(1).await.unwrap();
    settle().await;
    let rest = [pool.submit(2).await.unwrap(), pool.try_submit(3).unwrap()];
    let refused = pool.submit(4).await.unwrap_err();
    assert_eq!((refused.job, refused.rejected.limit(), refused.rejected.waiting()), (4, 2, 2));
    assert_eq!(refused.to_string(), "pool-test: queue full, 2 of 2 waiting");
    assert_eq!(first.await.unwrap(), 1);
    let [second, third] = rest;
    assert_eq!((second.await.unwrap(), third.await.unwrap()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_there_are_workers() {
    let running = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&running);
    let job = move |()| {
        let running = Arc::clone(&count);
        async move {
            assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
            sleep(SECOND).await;
            running.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let pool = Pool::builder("pool-test-bound", job).workers(3).queue(100).build().unwrap();
    let begun = tokio::time::Instant::now();
    let mut tickets = Vec::new();
    for _ in 0..30 {
        tickets.push(pool.submit(()).await.unwrap());
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(begun.elapsed(), 10 * SECOND, "all three worked all the time");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_is_served_first_come_first_served() {
    let pool = slow(1, 1, OnFull::Wait);
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut group = Group::new(10).unwrap();
    for n in 0..8 {
        let (pool, done) = (pool.clone(), Arc::clone(&done));
        group
            .spawn(async move {
                let n = pool.submit(n).await.unwrap().await.unwrap();
                done.lock().unwrap().push(n);
            })
            .await;
        settle().await;
    }
    assert_eq!(reason(pool.try_submit(9)), (9, Reason::QueueFull), "it does not go before them");
    group.join().await.unwrap();
    assert_eq!(*done.lock().unwrap(), (0..8).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn who_waits_long_enough_gets_the_job_back() {
    let on_full = OnFull::WaitUpTo(Duration::from_millis(600));
    let pool = Pool::builder("pool-test-wait-up-to", takes_a_second).workers(1).queue(1).on_full(on_full);
    let pool = pool.build().unwrap();
    let _first = pool.submit(1).await.unwrap();
    settle().await;
    let _second = pool.submit(2).await.unwrap();
    assert_eq!(reason(pool.submit(3).await), (3, Reason::WaitTimedOut));
    assert!(pool.submit(4).await.is_ok(), "in time there was room");
    let mut dropped = Box::pin(pool.submit(5));
    assert!(poll_once(&mut dropped).await.is_pending());
    drop(dropped);
    assert_eq!(seen(&pool).rejected_by, [(Reason::WaitTimedOut, 1)], "who leaves was not rejected");
}

#[tokio::test(start_paused = true)]
async fn kanal_24_flume_104_async_channel_87_a_cancelled_submit_loses_nothing() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&done);
    let job = move |n: Arc<u32>| {
        let log = Arc::clone(&log);
        async move {
            sleep(SECOND).await;
            log.lock().unwrap().push(*n);
        }
    };
    let pool = Pool::builder("pool-test-cancel", job).workers(1).queue(1).build().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut dropped = Vec::new();
    for n in 0..200 {
        let job = Arc::new(n);
        let mut submit = Box::pin(pool.submit(Arc::clone(&job)));
        let mut admitted = poll_once(&mut submit).await.is_ready();
        // Dropped at any time: before it is let in, after that but before it knows, or never.
        sleep(Duration::from_millis(random.u64(0..1_500))).await;
        if random.bool() && !admitted {
            admitted = poll_once(&mut submit).await.is_ready();
        }
        drop(submit);
        settle().await;
        let is_kept = Arc::strong_count(&job) > 1;
        if !is_kept && !done.lock().unwrap().contains(&n) {
            assert!(!admitted, "what was admitted is not dropped");
            dropped.push(n);
        }
    }
    let left = pool.drain(100 * SECOND).await;
    assert!(left.is_empty());
    let done = done.lock().unwrap();
    assert!(done.is_sorted() && !dropped.is_empty());
    assert_eq!(done.len() + dropped.len(), 200, "each was done once, or handed to nobody");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_dropped_to_make_room() {
    let pool = slow(1, 2, OnFull::DropOldest);
    let first = pool.submit(1).await.unwrap();
    settle().await;
    let (second, third) = (pool.submit(2).await.unwrap(), pool.submit(3).await.unwrap());
    let fourth = pool.submit(4).await.unwrap();
    assert!(matches!(second.await, Err(JobError::Dropped)));
    assert_eq!([first.await.unwrap(), third.await.unwrap(), fourth.await.unwrap()], [1, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_dropped_when_there_is_no_room() {
    let pool = slow(1, 1, OnFull::DropNewest);
    let first = pool.submit(1).await.unwrap();
    settle().await;
    let second = pool.submit(2).await.unwrap();
    assert!(matches!(pool.submit(3).await.unwrap().await, Err(JobError::Dropped)));
    assert_eq!([first.await.unwrap(), second.await.unwrap()], [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_caller_runs_what_finds_no_room() {
    let pool = slow(1, 1, OnFull::RunInCaller);
    let _first = pool.submit(1).await.unwrap();
    settle().await;
    let _second = pool.submit(2).await.unwrap();
    let begun = tokio::time::Instant::now();
    let third = pool.submit(3).await.unwrap();
    assert_eq!((begun.elapsed(), third.await.unwrap()), (SECOND, 3));
    settle().await;
    assert!(pool.try_submit(4).is_ok());
}

type Nested = Pool<u32, Result<u32, String>>;

/// A pool whose job number `n` submits job `n - 1` to it, and waits for it.
fn nested(workers: usize, queue: usize, on_full: OnFull) -> Nested {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let slot: Arc<OnceLock<Weak<Nested>>> = Arc::default();
    let inner = Arc::clone(&slot);
    let job = move |n: u32| {
        let pool = inner.get().and_then(Weak::upgrade);
        async move {
            tokio::task::yield_now().await;
            let (Some(pool), true) = (pool, n > 0) else { return Ok(0) };
            let ticket = pool.submit(n - 1).await.map_err(|refused| refused.to_string())?;
            ticket.await.map_err(|error| error.to_string())?.map(|depth| depth + 1)
        }
    };
    let name = format!("pool-test-nested-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let pool = Pool::builder(&name, job).workers(workers).queue(queue).on_full(on_full).build().unwrap();
    // Kept until the process ends, as a pool that jobs know is.
    let kept: &'static Arc<Nested> = Box::leak(Box::new(Arc::new(pool)));
    slot.set(Arc::downgrade(kept)).unwrap();
    Pool::clone(kept)
}

#[tokio::test(start_paused = true)]
async fn ants_197_submitting_from_inside_the_pool_does_not_deadlock() {
    for on_full in [OnFull::Wait, OnFull::WaitUpTo(3_600 * SECOND), OnFull::RunInCaller] {
        for (workers, queue) in [(1, 1), (1, 8), (2, 1), (4, 4)] {
            let pool = nested(workers, queue, on_full);
            let mut tickets = Vec::new();
            for _ in 0..20 {
                tickets.push(pool.submit(10).await.unwrap());
            }
            for ticket in tickets {
                assert_eq!(ticket.await.unwrap(), Ok(10), "{on_full:?} {workers} {queue}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_nest_of_jobs_that_is_too_deep_is_ended_and_says_so() {
    let pool = nested(1, 1, OnFull::Wait);
    let error = pool.submit(1_000).await.unwrap().await.unwrap().unwrap_err();
    assert!(error.contains("more than 32 jobs deep") || error.contains("queue full"), "{error}");
    assert_eq!(pool.submit(1).await.unwrap().await.unwrap(), Ok(1), "the pool lives on");
}

#[tokio::test(start_paused = true)]
async fn waiting_inside_the_pool_is_seen_through_a_group_and_another_pool() {
    type Jobs = Pool<u32, u32>;
    let slot: Arc<OnceLock<(Jobs, Jobs)>> = Arc::default();
    let (first, second) = (Arc::clone(&slot), Arc::clone(&slot));
    let outer = move |n: u32| {
        let slot = Arc::clone(&first);
        async move {
            if n == 0 {
                return 1;
            }
            let mut group = Group::new(2).unwrap();
            group.spawn(async move { slot.get().unwrap().1.submit(n - 1).await.unwrap().await }).await;
            group.join().await.unwrap()[0] + 1
        }
    };
    let through = move |n: u32| {
        let slot = Arc::clone(&second);
        async move { slot.get().unwrap().0.submit(n).await.unwrap().await.unwrap() + 1 }
    };
    let outer = Pool::builder("pool-test-outer", outer).workers(1).queue(1).build().unwrap();
    let through = Pool::builder("pool-test-through", through).workers(1).queue(1).build().unwrap();
    slot.set((outer.clone(), through)).map_err(|_| ()).unwrap();
    assert_eq!(outer.submit(4).await.unwrap().await.unwrap(), 9);
}

#[tokio::test(start_paused = true)]
async fn pond_56_a_panicking_job_does_not_strand_its_submitter_and_the_worker_lives_on() {
    let job = |n: u32| async move {
        assert_ne!(n % 3, 0, "pond 56");
        n
    };
    let pool = Pool::builder("pool-test-panic", job).workers(2).queue(100).build().unwrap();
    let mut tickets = Vec::new();
    for n in 0..30 {
        tickets.push((n, pool.submit(n).await.unwrap()));
    }
    for (n, ticket) in tickets {
        match ticket.await {
            Ok(output) => assert_eq!(output, n),
            Err(JobError::Panicked(panic)) => {
                assert_eq!(n % 3, 0);
                assert!(panic.message().contains("pond 56"));
            }
            Err(other) => panic!("{other}"),
        }
    }
    drop(pool.submit(3).await.unwrap());
    settle().await;
    let seen = registry::snapshot().into_iter().find(|bound| bound.name == pool.name()).unwrap();
    assert!(seen.details.contains(&("panicked", 11)), "also of a ticket that was dropped: {seen:?}");
    assert!(seen.details.contains(&("workers", 2)) && seen.details.contains(&("working", 0)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_throws_the_state_of_the_worker_away() {
    struct Counting(u32);
    impl Worker<bool> for Counting {
        type Output = u32;
        async fn run(&mut self, fails: bool) -> u32 {
            self.0 += 1;
            assert!(!fails);
            self.0
        }
    }
    let pool = Pool::builder_with("pool-test-state", || Counting(0)).workers(1).queue(8).build().unwrap();
    let run = async |fails| pool.submit(fails).await.unwrap().await;
    assert_eq!((run(false).await.unwrap(), run(false).await.unwrap()), (1, 2));
    assert!(run(true).await.is_err());
    assert_eq!(run(false).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_fails_its_job_and_not_the_pool() {
    let made = AtomicUsize::new(0);
    let factory = move || {
        assert!(made.fetch_add(1, Ordering::SeqCst) > 0, "no connection yet");
        |n: u32| async move { n }
    };
    let pool = Pool::builder_with("pool-test-factory", factory).workers(1).queue(8).build().unwrap();
    assert!(matches!(pool.submit(1).await.unwrap().await, Err(JobError::Panicked(_))));
    assert_eq!(pool.submit(2).await.unwrap().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_dropped() {
    let job = |n: u32| async move {
        sleep(n * SECOND).await;
        n
    };
    let pool =
        Pool::builder("pool-test-timeout", job).workers(1).queue(8).job_timeout(2 * SECOND).build().unwrap();
    let (long, short) = (pool.submit(60).await.unwrap(), pool.submit(1).await.unwrap());
    assert!(matches!(long.await, Err(JobError::TimedOut { after }) if after == 2 * SECOND));
    assert_eq!(short.await.unwrap(), 1);
}

struct Job {
    tenant: &'static str,
    number: u32,
}

fn by_tenant(
    log: &Arc<Mutex<Vec<String>>>,
) -> Builder<Job, Calls<impl Fn(Job) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + use<>>> {
    let log = Arc::clone(log);
    let job = move |job: Job| -> futures_util::future::BoxFuture<'static, ()> {
        let log = Arc::clone(&log);
        Box::pin(async move {
            sleep(SECOND).await;
            log.lock().unwrap().push(format!("{}{}", job.tenant, job.number));
        })
    };
    Pool::builder("pool-test-lanes", job).workers(1).queue(8).lanes(|job: &Job| job.tenant)
}

#[tokio::test(start_paused = true)]
async fn a_customer_with_many_jobs_waits_behind_himself() {
    let log = Arc::default();
    let pool = by_tenant(&log).lane_depth(8).build().unwrap();
    for (tenant, count) in [("a", 5), ("b", 2), ("c", 1)] {
        for number in 1..=count {
            pool.submit(Job { tenant, number }).await.unwrap();
        }
    }
    assert!(pool.drain(60 * SECOND).await.is_empty());
    assert_eq!(*log.lock().unwrap(), ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_refuses_its_customer_and_nobody_else() {
    let log = Arc::default();
    let pool = by_tenant(&log).on_full(OnFull::Reject).build().unwrap();
    let submit =
        async |tenant| pool.submit(Job { tenant, number: 0 }).await.err().map(|refused| refused.rejected);
    assert_eq!((submit("acme").await, submit("acme").await), (None, None));
    let rejected = submit("acme").await.unwrap();
    assert_eq!(rejected.to_string(), "pool-test-lanes acme: queue full, 2 of 2 waiting");
    assert_eq!(submit("globex").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_job_takes_no_place() {
    let log = Arc::default();
    let pool = by_tenant(&log).on_full(OnFull::Reject).build().unwrap();
    let lanes = || {
        let mut seen = registry::snapshot().into_iter().filter(|bound| bound.name == pool.name());
        seen.any(|bound| bound.details.contains(&("lanes", 0)) && bound.admitted == 50)
    };
    for number in 0..50 {
        let tenant: &'static str = Box::leak(format!("tenant{number}").into());
        pool.submit(Job { tenant, number }).await.unwrap().await.unwrap();
    }
    settle().await;
    assert!(lanes());
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_the_queue_when_there_is_time() {
    let pool = slow(2, 10, OnFull::Wait);
    let tickets: Vec<_> = (0..6).map(|n| pool.try_submit(n).unwrap()).collect();
    let begun = tokio::time::Instant::now();
    let left = pool.drain(60 * SECOND).await;
    assert_eq!((left.is_empty(), begun.elapsed()), (true, 3 * SECOND));
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.await.unwrap() as usize, n);
    }
    assert_eq!(reason(pool.submit(7).await), (7, Reason::Draining));
    assert!(pool.drain(SECOND).await.is_empty(), "again is harmless");
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_runs_out_of_time_says_what_was_left() {
    let log = Arc::default();
    let pool = by_tenant(&log).build().unwrap();
    let mut tickets = Vec::new();
    for (tenant, number) in [("a", 1), ("b", 1), ("a", 2), ("b", 2)] {
        tickets.push(pool.submit(Job { tenant, number }).await.unwrap());
    }
    let begun = tokio::time::Instant::now();
    let left = pool.drain(Duration::from_millis(1_500)).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(1_500));
    let names: Vec<_> = left.not_started.iter().map(|job| (job.tenant, job.number)).collect();
    assert_eq!(names, [("a", 2), ("b", 2)]);
    assert_eq!((left.abandoned, &*left.abandoned_keys[0]), (1, "b"));
    let mut ends = Vec::new();
    for ticket in tickets {
        ends.push(ticket.await.is_ok());
    }
    assert_eq!(ends, [true, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_their_jobs_back_to_those_who_wait() {
    let pool = slow(1, 1, OnFull::Wait);
    let _first = pool.submit(1).await.unwrap();
    settle().await;
    let _second = pool.submit(2).await.unwrap();
    let mut third = Box::pin(pool.submit(3));
    assert!(poll_once(&mut third).await.is_pending());
    let mut drain = pin!(pool.drain(60 * SECOND));
    assert!(poll_once(&mut drain).await.is_pending());
    assert_eq!(reason(third.await), (3, Reason::Draining));
    assert!(drain.await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_workers_and_jobs() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let job = move |()| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<()>().await;
        }
    };
    let pool = Pool::builder("pool-test-drop", job).workers(2).queue(8).build().unwrap();
    let clone = pool.clone();
    let tickets: Vec<Ticket<()>> = (0..4).map(|_| pool.try_submit(()).unwrap()).collect();
    settle().await;
    drop(pool);
    assert!(clone.try_submit(()).is_ok(), "a handle is left");
    drop(clone);
    for ticket in tickets {
        assert!(matches!(ticket.await, Err(JobError::Cancelled)));
    }
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(registry::snapshot().iter().all(|bound| bound.name.as_str() != "pool-test-drop"));
}

#[test]
fn a_pool_whose_runtime_has_ended_admits_nothing_and_strands_nobody() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = runtime();
    let (pool, ticket) = first.block_on(async {
        let pool = slow(1, 8, OnFull::Wait);
        let ticket = pool.submit(1).await.unwrap();
        (pool, ticket)
    });
    drop(first);
    runtime().block_on(async {
        assert!(matches!(ticket.await, Err(JobError::Cancelled)));
        assert_eq!(reason(pool.submit(2).await), (2, Reason::Draining));
        assert!(pool.drain(SECOND).await.not_started.is_empty());
    });
}

#[tokio::test(start_paused = true)]
async fn a_job_inherits_the_scope_it_was_submitted_in() {
    let job = |n: u32| async move {
        if n > 0 {
            sleep(n * SECOND).await;
        }
        (scope::current().label_value("tenant").map(str::to_owned), scope::current().remaining())
    };
    let pool = Pool::builder("pool-test-scope", job).workers(1).queue(8).build().unwrap();
    let in_scope = |n| Scope::new().label("tenant", "acme").deadline_in(3 * SECOND).run(pool.submit(n));
    let ticket = in_scope(0).await.unwrap().unwrap();
    assert_eq!(ticket.await.unwrap(), (Some("acme".into()), Some(3 * SECOND)));
    assert_eq!(pool.submit(0).await.unwrap().await.unwrap(), (None, None), "and no other");

    let (running, queued) = (in_scope(9).await.unwrap().unwrap(), in_scope(9).await.unwrap().unwrap());
    let begun = tokio::time::Instant::now();
    for ticket in [running, queued] {
        assert!(matches!(ticket.await, Err(JobError::ScopeEnded(Ended::DeadlinePassed))));
    }
    assert_eq!(begun.elapsed(), 3 * SECOND, "the second was not even started");
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_current_scope_in_a_job_does_not_end_the_worker() {
    let job = |()| async { scope::current().cancel() };
    let pool = Pool::builder("pool-test-self-cancel", job).workers(1).queue(8).build().unwrap();
    for _ in 0..3 {
        pool.submit(()).await.unwrap().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn configuration_out_of_range_is_refused_by_field() {
    let builder = || Pool::builder("pool-test-bad", takes_a_second).workers(1).queue(8);
    let field = |builder: Builder<u32, _>| builder.build().map(|_| ()).unwrap_err().field();
    assert_eq!(field(builder().workers(0)), "workers");
    assert_eq!(field(builder().workers(usize::MAX)), "workers");
    assert_eq!(field(builder().queue(0)), "queue");
    assert_eq!(field(builder().queue(usize::MAX)), "queue");
    assert_eq!(field(builder().lane_depth(0)), "lane_depth");
    assert_eq!(field(builder().lane_depth(9)), "lane_depth");
    assert_eq!(field(builder().job_timeout(Duration::ZERO)), "job_timeout");
    assert_eq!(field(builder().job_timeout(Duration::MAX)), "job_timeout");
    assert_eq!(field(Pool::builder("pool-test-unset", takes_a_second)), "workers");
    assert_eq!(field(Pool::builder("", takes_a_second)), "name");
    assert!(builder().on_full(OnFull::WaitUpTo(Duration::MAX)).build().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_every_job_is_done_once() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let job = move |n: usize| {
        let done = Arc::clone(&count);
        async move {
            if n.is_multiple_of(7) {
                tokio::task::yield_now().await;
            }
            done.fetch_add(1, Ordering::SeqCst);
            n
        }
    };
    let pool =
        Pool::builder("pool-test-many", job).workers(8).queue(16).lanes(|n: &usize| n % 5).build().unwrap();
    let mut submitters = Group::new(4).unwrap();
    for submitter in 0..4 {
        let pool = pool.clone();
        submitters
            .spawn(async move {
                for n in 0..1_000 {
                    let n = submitter * 1_000 + n;
                    assert_eq!(pool.submit(n).await.unwrap().await.unwrap(), n);
                }
            })
            .await;
    }
    submitters.join().await.unwrap();
    assert!(pool.drain(60 * SECOND).await.is_empty());
    assert_eq!(done.load(Ordering::SeqCst), 4_000);
}
