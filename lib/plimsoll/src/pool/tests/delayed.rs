//! Jobs for later: the set against a model, and the pool under paused time.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::sleep;

use super::super::delayed::Delayed;
use super::super::queue::Queue;
use super::{detail, seen, settle};
use crate::Reason;
use crate::clock::{self, Instant};
use crate::pool::{JobError, OnFull, Pool};
use crate::scope::{self, Ended, Scope};

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn entries_leave_in_the_order_of_their_times_and_never_exceed_the_bound(
        capacity in 1usize..10,
        steps in prop::collection::vec((any::<bool>(), 0u64..20, 0usize..4), 1..200),
    ) {
        let (mut delayed, mut model) = (Delayed::new(capacity), Vec::<(u64, usize)>::new());
        for (number, (is_insert, time, due)) in steps.into_iter().enumerate() {
            let at = Instant::from_nanos(time);
            if is_insert {
                let is_next = model.iter().all(|(other, _)| time < *other);
                let expected = if model.len() + due < capacity { Ok(is_next) } else { Err((time, number)) };
                prop_assert_eq!(delayed.insert(at, (time, number), due), expected);
                if expected.is_ok() {
                    model.push((time, number));
                    model.sort_unstable();
                }
            } else {
                while model.first().is_some_and(|(first, _)| *first <= time) {
                    prop_assert_eq!(delayed.pop_due(at), Some(model.remove(0)));
                }
                prop_assert_eq!(delayed.pop_due(at), None);
            }
            prop_assert_eq!(delayed.next_at(), model.first().map(|(at, _)| Instant::from_nanos(*at)));
            prop_assert_eq!(delayed.len(), model.len());
        }
        prop_assert_eq!(delayed.take_all(), model);
    }

    #[test]
    fn what_is_due_takes_its_turn_and_no_room_of_the_queue(
        capacity in 1usize..6, steps in prop::collection::vec((0u8..4, 0usize..3), 1..100),
    ) {
        let mut queue = Queue::new(capacity, capacity);
        let (mut counted, mut due) = (0, 0);
        for (step, lane) in steps {
            match step {
                0 if counted < capacity => {
                    queue.push(lane.min(queue.free_lane()), true);
                    counted += 1;
                }
                1 => {
                    queue.push_due(lane.min(queue.free_lane()), false);
                    due += 1;
                }
                2 => {
                    let popped = queue.pop();
                    prop_assert_eq!(popped.is_some(), counted + due > 0);
                    match popped {
                        Some((_, true)) => counted -= 1,
                        Some((_, false)) => due -= 1,
                        None => {}
                    }
                }
                _ => {
                    let evicted = queue.evict(lane);
                    prop_assert_eq!(evicted.is_some(), counted > 0, "only what takes room can make room");
                    if let Some((_, is_counted)) = evicted {
                        prop_assert!(is_counted);
                        counted -= 1;
                    }
                }
            }
            prop_assert_eq!((queue.len(), queue.due(), queue.ready()), (counted, due, counted + due));
        }
        prop_assert_eq!(queue.take_all().len(), counted + due);
    }
}

fn logging(log: &Arc<Mutex<Vec<(u32, Duration)>>>) -> impl Fn(u32) -> std::future::Ready<u32> + use<> {
    let (log, begun) = (Arc::clone(log), clock::now());
    move |n| {
        log.lock().unwrap().push((n, clock::now() - begun));
        std::future::ready(n)
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_job_is_done_when_its_time_has_come_and_not_before() {
    let log = Arc::default();
    let pool = Pool::builder("pool-delayed-time", logging(&log)).workers(2).queue(8).build().unwrap();
    let late = pool.submit_after(3, 3 * SECOND).unwrap();
    let soon = pool.submit_after(1, SECOND).unwrap();
    let at = pool.submit_at(2, clock::now() + 2 * SECOND).unwrap();
    let passed = pool.submit_at(0, Instant::from_nanos(0)).unwrap();
    assert_eq!((pool.len(), detail(&pool, "delayed")), (0, 4));
    for (n, ticket) in [late, soon, at, passed].into_iter().zip([3, 1, 2, 0]) {
        assert_eq!(n.await.unwrap(), ticket);
    }
    let seconds: Vec<_> = log.lock().unwrap().iter().map(|(n, after)| (*n, after.as_secs())).collect();
    assert_eq!(seconds, [(0, 0), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(detail(&pool, "delayed"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_delayed_than_said_those_that_are_due_included() {
    let job = |n: u32| async move {
        sleep(10 * SECOND).await;
        n
    };
    let pool = Pool::builder("pool-delayed-full", job).workers(1).queue(1).delayed(2).build().unwrap();
    let running = pool.submit(0).await.unwrap();
    settle().await;
    let queued = pool.submit(1).await.unwrap();
    let due = [pool.submit_after(2, SECOND).unwrap(), pool.submit_after(3, SECOND).unwrap()];
    for wait in [0, 2] {
        sleep(wait * SECOND).await;
        let refused = pool.submit_after(4, SECOND).unwrap_err();
        assert_eq!((refused.job, refused.rejected.reason()), (4, Reason::QueueFull));
        assert_eq!((refused.rejected.limit(), refused.rejected.in_use()), (2, 2));
    }
    assert_eq!((pool.len(), seen(&pool).in_use), (3, 1), "they are queued, and take no room there");
    assert_eq!((running.await.unwrap(), queued.await.unwrap()), (0, 1));
    settle().await;
    assert!(pool.submit_after(5, SECOND).is_ok(), "one was taken");
    let [first, second] = due;
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (2, 3));
    assert_eq!(seen(&pool).rejected_by, [(Reason::QueueFull, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_delayed_jobs_and_hands_them_back() {
    let pool =
        Pool::builder("pool-delayed-drain", |n: u32| async move { n }).workers(1).queue(8).build().unwrap();
    let (late, later) =
        (pool.submit_after(2, 3_600 * SECOND).unwrap(), pool.submit_after(1, 60 * SECOND).unwrap());
    let begun = tokio::time::Instant::now();
    let left = pool.drain(30 * SECOND).await;
    assert_eq!((left.not_due.as_slice(), left.not_started.len(), left.is_empty()), (&[1, 2][..], 0, false));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(matches!((late.await, later.await), (Err(JobError::Cancelled), Err(JobError::Cancelled))));
    assert_eq!(pool.submit_after(3, SECOND).unwrap_err().rejected.reason(), Reason::Draining);
    assert!(pool.drain(SECOND).await.is_empty(), "they are handed back once");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_pool_tells_the_tickets_of_delayed_jobs() {
    let pool =
        Pool::builder("pool-delayed-drop", |n: u32| async move { n }).workers(1).queue(8).build().unwrap();
    let ticket = pool.submit_after(1, 60 * SECOND).unwrap();
    drop(pool);
    assert!(matches!(ticket.await, Err(JobError::Cancelled)));
}

#[test]
fn a_runtime_that_ends_strands_no_delayed_job() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = runtime();
    let (pool, ticket) = first.block_on(async {
        let pool = Pool::builder("pool-delayed-end", |n: u32| async move { n }).workers(1).queue(8);
        let pool = pool.build().unwrap();
        let ticket = pool.submit_after(1, 60 * SECOND).unwrap();
        (pool, ticket)
    });
    drop(first);
    runtime().block_on(async {
        assert!(matches!(ticket.await, Err(JobError::Cancelled)));
        assert_eq!(pool.submit_after(2, SECOND).unwrap_err().rejected.reason(), Reason::Draining);
    });
}

#[test]
fn a_runtime_without_a_timer_does_not_strand_a_delayed_job() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let pool = Pool::builder("pool-delayed-untimed", |n: u32| async move { n }).workers(1).queue(8);
        let pool = pool.build().unwrap();
        let ticket = pool.submit_after(1, 60 * SECOND).unwrap();
        assert!(matches!(ticket.await, Err(JobError::Cancelled)));
        assert_eq!(pool.submit_after(2, SECOND).unwrap_err().rejected.reason(), Reason::Draining);
        assert_eq!(pool.submit(3).await.unwrap().await.unwrap(), 3, "the workers do without");
    });
}

#[tokio::test(start_paused = true)]
async fn a_delayed_job_keeps_its_scope_and_is_not_started_after_it() {
    let job = |n: u32| async move { (n, scope::current().label_value("tenant").map(str::to_owned)) };
    let pool = Pool::builder("pool-delayed-scope", job).workers(1).queue(8).build().unwrap();
    let in_scope = Scope::new().label("tenant", "acme").deadline_in(3 * SECOND);
    let submit =
        async { (pool.submit_after(1, 2 * SECOND).unwrap(), pool.submit_after(2, 4 * SECOND).unwrap()) };
    let (in_time, too_late) = in_scope.run(submit).await.unwrap();
    assert_eq!(in_time.await.unwrap(), (1, Some("acme".into())));
    assert!(matches!(too_late.await, Err(JobError::ScopeEnded(Ended::DeadlinePassed))));
}

#[tokio::test(start_paused = true)]
async fn a_customer_with_many_due_jobs_waits_behind_himself() {
    let log: Arc<Mutex<Vec<_>>> = Arc::default();
    let done = Arc::clone(&log);
    let job = move |(tenant, n): (char, u32)| {
        let done = Arc::clone(&done);
        async move {
            sleep(SECOND).await;
            done.lock().unwrap().push(format!("{tenant}{n}"));
        }
    };
    let pool = Pool::builder("pool-delayed-lanes", job).workers(1).queue(8).lanes(|job: &(char, u32)| job.0);
    let pool = pool.build().unwrap();
    for job in [('a', 1), ('a', 2), ('a', 3), ('b', 1)] {
        drop(pool.submit_after(job, SECOND).unwrap());
    }
    sleep(30 * SECOND).await;
    assert_eq!(*log.lock().unwrap(), ["a1", "b1", "a2", "a3"]);
    assert_eq!(detail(&pool, "lanes"), 0, "a key without a job takes no memory");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_panics_fails_its_job_and_no_other() {
    let key = |n: &u32| if *n == 1 { panic!("no key") } else { *n };
    let pool = Pool::builder("pool-delayed-key", |n: u32| async move { n }).workers(1).queue(8).lanes(key);
    let pool = pool.build().unwrap();
    let tickets: Vec<_> = (0..3).map(|n| pool.submit_after(n, SECOND).unwrap()).collect();
    let mut ends = Vec::new();
    for ticket in tickets {
        ends.push(ticket.await.map_err(|error| error.to_string()));
    }
    assert_eq!(ends, [Ok(0), Err("the job panicked: no key".into()), Ok(2)]);
    assert_eq!(detail(&pool, "panicked"), 1);
}

#[tokio::test(start_paused = true)]
async fn ants_197_waiting_inside_the_pool_for_a_job_that_is_not_due_does_not_deadlock() {
    type Jobs = Pool<u32, u32>;
    for on_full in [OnFull::Wait, OnFull::Reject, OnFull::RunInCaller] {
        let slot: Arc<std::sync::OnceLock<std::sync::Weak<Jobs>>> = Arc::default();
        let inner = Arc::clone(&slot);
        let job = move |n: u32| {
            let pool = inner.get().and_then(std::sync::Weak::upgrade);
            async move {
                let (Some(pool), true) = (pool, n > 0) else { return 0 };
                // The only worker is this one: it must do the job itself when it is due.
                pool.submit_after(n - 1, SECOND).unwrap().await.unwrap() + 1
            }
        };
        let pool = Pool::builder("pool-delayed-inside", job).workers(1).queue(1).delayed(4).on_full(on_full);
        let pool = Arc::new(pool.build().unwrap());
        slot.set(Arc::downgrade(&pool)).unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(pool.submit(4).await.unwrap().await.unwrap(), 4);
        assert_eq!(begun.elapsed(), 4 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_times_are_measured_of_one_job_in_sixteen() {
    let job = |()| sleep(SECOND);
    let pool = Pool::builder("pool-waits", job).workers(1).queue(64).build().unwrap();
    let tickets: Vec<_> = (0..33).map(|_| pool.try_submit(()).unwrap()).collect();
    for ticket in tickets {
        ticket.await.unwrap();
    }
    let waits = seen(&pool).waits;
    assert_eq!((waits.count(), waits.total()), (3, 48 * SECOND), "of the first, the 17th, the 33rd");
}

#[tokio::test(start_paused = true)]
async fn a_delay_beyond_the_end_of_time_is_not_one_that_has_passed() {
    let pool = Pool::builder("pool-delayed-far", |()| pending::<()>()).workers(1).queue(8).build().unwrap();
    let _ticket = pool.submit_after((), Duration::MAX).unwrap();
    sleep(SECOND).await;
    assert_eq!((pool.len(), detail(&pool, "working"), detail(&pool, "delayed")), (0, 0, 1));
}
