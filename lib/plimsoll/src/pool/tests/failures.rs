//! Retries and dead letters.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Counted, detail, settle};
use crate::Reason;
use crate::clock;
use crate::pool::{Builder, Cause, DeadLetter, GaveUp, JobError, OnFull, Pool};
use crate::retry::{self, Decision, Policy, Stop};
use crate::scope::Scope;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Succeed,
    Fail,
    FailForGood,
    AskToWait(Duration),
    Panic,
    Hang,
}

type Log = Arc<Mutex<Vec<Duration>>>;

/// A job does the acts one after the other, one each attempt, and the last of them for ever.
#[derive(Clone, Debug)]
struct Acts(Vec<Act>, Arc<AtomicU32>);

fn acts(acts: &[Act]) -> Acts {
    Acts(acts.to_vec(), Arc::default())
}

fn classify(failed: &Act) -> Decision {
    match failed {
        Act::Fail => Decision::Retry,
        Act::AskToWait(after) => Decision::RetryAfter(*after),
        _ => Decision::GiveUp,
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it did {self:?}")
    }
}

/// A pool of one worker, whose jobs take no time, and tell when they were done.
macro_rules! pool {
    ($name:expr, $log:expr) => {{
        let (log, begun): (Log, _) = (Arc::clone(&$log), clock::now());
        let job = move |Acts(acts, attempt): Acts| {
            let log = Arc::clone(&log);
            async move {
                log.lock().unwrap().push(clock::now() - begun);
                let attempt = attempt.fetch_add(1, Ordering::SeqCst) as usize;
                match acts[attempt.min(acts.len() - 1)] {
                    Act::Succeed => Ok(attempt),
                    Act::Panic => panic!("attempt {attempt}"),
                    Act::Hang => std::future::pending().await,
                    failed => Err(failed),
                }
            }
        };
        Pool::builder($name, job).workers(1).queue(8).job_timeout(10 * SECOND)
    }};
}

fn every_second(attempts: usize) -> Policy {
    Policy::schedule(vec![SECOND; attempts - 1])
}

fn seconds(log: &Log) -> Vec<u64> {
    log.lock().unwrap().iter().map(Duration::as_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_is_tried_again_until_it_succeeds() {
    let log = Log::default();
    let pool = pool!("pool-retry", log).retry(every_second(5), classify).build().unwrap();
    let ticket = pool.submit(acts(&[Act::Fail, Act::Fail, Act::Succeed])).await.unwrap();
    assert_eq!(ticket.await.unwrap(), Ok(2));
    assert_eq!(seconds(&log), [0, 1, 2]);
    settle().await;
    let counts = ["failed", "completed", "retried", "dead_letters"].map(|name| detail(&pool, name));
    assert_eq!(counts, [2, 1, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_to_be_tried_again_holds_no_worker() {
    let log = Log::default();
    let pool = pool!("pool-retry-idle", log).retry(every_second(3), classify).build().unwrap();
    let again = pool.submit(acts(&[Act::Fail, Act::Fail, Act::Succeed])).await.unwrap();
    settle().await;
    assert_eq!((detail(&pool, "working"), detail(&pool, "delayed")), (0, 1));
    let begun = clock::now();
    for _ in 0..100 {
        let other = pool.submit(acts(&[Act::Succeed])).await.unwrap();
        assert_eq!(other.await.unwrap(), Ok(0));
    }
    assert_eq!(clock::now() - begun, Duration::ZERO, "the only worker is free for others");
    assert_eq!(again.await.unwrap(), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_the_job_is_a_dead_letter() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-letter", log).retry(every_second(3), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let ticket = pool.submit(acts(&[Act::Fail])).await.unwrap();
    assert_eq!(ticket.await.unwrap(), Err(Act::Fail), "the ticket has the last error");
    let letter = letters.try_recv().expect("it is there when the ticket is answered");
    assert_eq!(letter.job.0, [Act::Fail]);
    assert_eq!((letter.cause, letter.attempts, letter.error.as_str()), (Cause::Failed, 3, "it did Fail"));
    assert_eq!(letter.gave_up, GaveUp::Policy(Stop::AttemptsUsed));
    assert_eq!(letter.to_string(), "failed: it did Fail (attempt 3, no attempt left)");
    assert_eq!(seconds(&log), [0, 1, 2]);
    assert_eq!(detail(&pool, "dead_letters"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_poison_job_goes_to_the_sink_after_so_many_panics() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-poison", log).retry(every_second(9), classify).panics_max(3).dead_letters(sender);
    let pool = pool.build().unwrap();
    let ticket =
        pool.submit(acts(&[Act::Panic, Act::Fail, Act::Panic, Act::Fail, Act::Panic])).await.unwrap();
    assert!(matches!(ticket.await, Err(JobError::Panicked(panic)) if panic.message() == "attempt 4"));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.cause, letter.attempts, letter.gave_up), (Cause::Panicked, 5, GaveUp::Poison));
    assert_eq!(letter.error, "attempt 4");
    assert_eq!(seconds(&log), [0, 1, 2, 3, 4]);
    assert_eq!(detail(&pool, "panicked"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_not_tried_again_unless_said() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool =
        pool!("pool-panic", log).retry(every_second(9), classify).dead_letters(sender).build().unwrap();
    assert!(pool.submit(acts(&[Act::Panic])).await.unwrap().await.is_err());
    assert_eq!(letters.try_recv().unwrap().gave_up, GaveUp::Poison);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_took_too_long_is_tried_again() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-retry-hang", log).retry(every_second(2), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let (better, never) = (acts(&[Act::Hang, Act::Succeed]), acts(&[Act::Hang]));
    assert_eq!(pool.submit(better).await.unwrap().await.unwrap(), Ok(1));
    assert_eq!(seconds(&log), [0, 11]);
    assert!(matches!(pool.submit(never).await.unwrap().await, Err(JobError::TimedOut { .. })));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.cause, letter.attempts), (Cause::TimedOut, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_worth_another_try_is_a_dead_letter_at_once() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-give-up", log).retry(every_second(9), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    assert_eq!(pool.submit(acts(&[Act::FailForGood])).await.unwrap().await.unwrap(), Err(Act::FailForGood));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.attempts, letter.gave_up), (1, GaveUp::Policy(Stop::NotRetryable)));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_need_no_retry() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-letters-only", log).dead_letters(sender).build().unwrap();
    for act in [Act::Fail, Act::Panic, Act::Hang, Act::Succeed] {
        drop(pool.submit(acts(&[act])).await.unwrap());
    }
    assert!(pool.drain(60 * SECOND).await.is_empty());
    drop(pool);
    let mut causes = Vec::new();
    while let Ok(DeadLetter { cause, gave_up, attempts, .. }) = letters.try_recv() {
        assert_eq!((attempts, gave_up), (1, GaveUp::NoRetry));
        causes.push(cause);
    }
    assert_eq!(causes, [Cause::Failed, Cause::Panicked, Cause::TimedOut]);
}

#[tokio::test(start_paused = true)]
async fn a_full_or_closed_sink_holds_nobody_up_and_is_counted() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(1));
    let pool = pool!("pool-letters-lost", log).dead_letters(sender).build().unwrap();
    for _ in 0..3 {
        let ticket = pool.submit(acts(&[Act::Fail])).await.unwrap();
        assert_eq!(ticket.await.unwrap(), Err(Act::Fail), "the ticket has it in any case");
    }
    assert_eq!((detail(&pool, "dead_letters"), detail(&pool, "dead_letters_lost")), (1, 2));
    letters.close();
    assert!(letters.try_recv().is_ok());
    drop(pool.submit(acts(&[Act::Fail])).await.unwrap());
    settle().await;
    assert_eq!(detail(&pool, "dead_letters_lost"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_asks_for_is_waited_for() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let policy = every_second(3).retry_after_max(60 * SECOND);
    let pool = pool!("pool-retry-after", log).retry(policy, classify).dead_letters(sender).build().unwrap();
    let job = acts(&[Act::AskToWait(30 * SECOND), Act::AskToWait(61 * SECOND)]);
    assert!(pool.submit(job).await.unwrap().await.unwrap().is_err());
    assert_eq!(seconds(&log), [0, 31], "on top of the delay, and never longer than allowed");
    let gave_up = letters.try_recv().unwrap().gave_up;
    let expected = Stop::RetryAfterTooLong { asked: 61 * SECOND, max: 60 * SECOND };
    assert_eq!(gave_up, GaveUp::Policy(expected));
}

#[tokio::test(start_paused = true)]
async fn polly_2348_retries_are_paid_for_from_the_budget() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(100));
    let budget = retry::Budget::new(0.5, 0).unwrap();
    let policy = every_second(9).budget(&budget);
    let pool = pool!("pool-retry-budget", log).retry(policy, classify).dead_letters(sender);
    let pool = pool.queue(20).delayed(20).build().unwrap();
    let tickets: Vec<_> = (0..20).map(|_| pool.try_submit(acts(&[Act::Fail])).unwrap()).collect();
    for ticket in tickets {
        assert!(ticket.await.unwrap().is_err());
    }
    assert_eq!(log.lock().unwrap().len(), 30, "20 calls earn 10 retries, and no job more than it");
    assert_eq!(detail(&pool, "retried"), 10);
    while let Ok(letter) = letters.try_recv() {
        assert!(matches!(letter.gave_up, GaveUp::Policy(Stop::BudgetSpent(_))), "{letter}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_retry_is_waited_for_past_the_deadline() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-retry-deadline", log).retry(every_second(9), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let scope = Scope::new().deadline_in(2 * SECOND + SECOND / 2);
    let ticket = scope.run(pool.submit(acts(&[Act::Fail]))).await.unwrap().unwrap();
    assert_eq!(ticket.await.unwrap(), Err(Act::Fail));
    assert_eq!(seconds(&log), [0, 1, 2]);
    let gave_up = letters.try_recv().unwrap().gave_up;
    assert!(matches!(gave_up, GaveUp::Policy(Stop::DeadlineTooNear { .. })), "{gave_up}");
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_to_wait_in_is_a_dead_letter() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-retry-full", log).delayed(1).retry(every_second(2), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let (first, second) =
        (pool.submit(acts(&[Act::Fail])).await.unwrap(), pool.submit(acts(&[Act::Fail])).await.unwrap());
    assert!(second.await.unwrap().is_err());
    let letter = letters.try_recv().unwrap();
    let GaveUp::NoRoom(rejected) = &letter.gave_up else { panic!("{letter}") };
    assert_eq!((rejected.reason(), rejected.limit()), (Reason::QueueFull, 1));
    assert!(first.await.unwrap().is_err());
    assert_eq!(log.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_finds_no_room_is_not_paid_for() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let budget = retry::Budget::new(1.0, 0).unwrap();
    let policy = every_second(2).budget(&budget);
    let pool = pool!("pool-retry-unpaid", log).delayed(1).retry(policy, classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let tickets = [(); 3].map(|()| pool.try_submit(acts(&[Act::Fail])).unwrap());
    settle().await;
    for _ in 0..2 {
        let letter = letters.try_recv().unwrap();
        assert!(matches!(letter.gave_up, GaveUp::NoRoom(_)), "{letter}");
    }
    assert_eq!((budget.snapshot().limit, budget.snapshot().in_use), (3, 1));
    for ticket in tickets {
        assert!(ticket.await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_back_what_was_to_be_tried_again() {
    let (log, (sender, mut letters)) = (Log::default(), mpsc::channel(8));
    let pool = pool!("pool-retry-drain", log).retry(every_second(9), classify).dead_letters(sender);
    let pool = pool.build().unwrap();
    let before = pool.submit(acts(&[Act::Fail])).await.unwrap();
    settle().await;
    let during = pool.submit(acts(&[Act::Hang, Act::Fail])).await.unwrap();
    settle().await;
    let left = pool.drain(60 * SECOND).await;
    let attempts: Vec<_> = left.not_due.iter().map(|job| job.1.load(Ordering::SeqCst)).collect();
    assert_eq!((attempts, left.not_started.len(), left.abandoned), (vec![1, 1], 0, 0));
    assert!(matches!(before.await, Err(JobError::Cancelled)));
    assert!(matches!(during.await, Err(JobError::TimedOut { .. })));
    assert!(letters.try_recv().is_err(), "they are in the hands of whoever drains");
}

#[tokio::test(start_paused = true)]
async fn ants_197_waiting_inside_the_pool_for_a_job_that_is_tried_again_does_not_deadlock() {
    type Jobs = Pool<u32, Result<u32, &'static str>>;
    for on_full in [OnFull::Wait, OnFull::RunInCaller] {
        let slot: Arc<OnceLock<Weak<Jobs>>> = Arc::default();
        let (inner, fails) = (Arc::clone(&slot), Arc::new(AtomicU32::new(0)));
        let job = move |n: u32| {
            let (pool, fails) = (inner.get().and_then(Weak::upgrade), Arc::clone(&fails));
            async move {
                if fails.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
                    return Err("every third fails");
                }
                let (Some(pool), true) = (pool, n > 0) else { return Ok(0) };
                // Both the one that is queued and the one that is run here fail, and come again.
                let other = pool.submit(n - 1).await.map_err(|_| "refused")?;
                let again = pool.submit(n - 1).await.map_err(|_| "refused")?;
                let other = other.await.map_err(|_| "lost")??;
                Ok(other.max(again.await.map_err(|_| "lost")??) + 1)
            }
        };
        let policy = Policy::schedule(vec![SECOND; 20]);
        let pool: Builder<u32, _> = Pool::builder("pool-retry-inside", job).workers(1).queue(1).delayed(64);
        let pool = pool.on_full(on_full).retry(policy, |_| Decision::Retry).build().unwrap();
        let pool = Arc::new(pool);
        slot.set(Arc::downgrade(&pool)).unwrap();
        assert_eq!(pool.submit(3).await.unwrap().await.unwrap(), Ok(3), "{on_full:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_clone_or_output_panics_takes_no_worker_with_it() {
    struct Explosive(bool);
    impl Clone for Explosive {
        fn clone(&self) -> Self {
            assert!(!self.0, "clone");
            Self(false)
        }
    }
    struct Output(bool);
    impl Drop for Output {
        fn drop(&mut self) {
            assert!(!self.0, "drop");
        }
    }
    let (sender, _letters) = mpsc::channel(1);
    let job = |Explosive(_): Explosive| async { Ok::<_, String>(()) };
    let pool = Pool::builder("pool-clone", job).workers(1).queue(8).dead_letters(sender).build().unwrap();
    assert!(matches!(pool.submit(Explosive(true)).await.unwrap().await, Err(JobError::Panicked(_))));
    assert!(pool.submit(Explosive(false)).await.unwrap().await.is_ok());

    let pool =
        Pool::builder("pool-output", |n| async move { Output(n) }).workers(1).queue(8).build().unwrap();
    drop(pool.submit(true).await.unwrap());
    settle().await;
    assert!(pool.submit(false).await.unwrap().await.is_ok());
    assert_eq!((detail(&pool, "panicked"), detail(&pool, "workers")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_copy_of_a_job_is_left_behind() {
    let (sender, mut letters) = mpsc::channel(100);
    let job = |job: Counted| async move { if job.is_multiple_of(3) { Err("third") } else { Ok(()) } };
    let pool = Pool::builder("pool-copies", job).workers(3).queue(100).delayed(4);
    let pool = pool.retry(every_second(2), |_| Decision::Retry).dead_letters(sender).build().unwrap();
    let jobs: Vec<Counted> = (0..30).map(Arc::new).collect();
    for job in &jobs {
        drop(pool.submit(Arc::clone(job)).await.unwrap());
    }
    sleep(60 * SECOND).await;
    let mut letter_count = 0;
    while letters.try_recv().is_ok() {
        letter_count += 1;
    }
    assert_eq!(letter_count, 10);
    assert!(jobs.iter().all(|job| Arc::strong_count(job) == 1));
}

#[tokio::test(start_paused = true)]
async fn settings_that_contradict_each_other_are_refused_by_field() {
    let log = Log::default();
    let builder = || pool!("pool-failures-bad", log);
    let retried = || builder().retry(every_second(2), classify);
    assert_eq!(builder().panics_max(2).build().unwrap_err().field(), "panics_max");
    assert_eq!(retried().panics_max(0).build().unwrap_err().field(), "panics_max");
    assert_eq!(retried().panics_max(1_001).build().unwrap_err().field(), "panics_max");
    assert_eq!(
        builder().retry(every_second(2).attempts(0), classify).build().unwrap_err().field(),
        "attempts"
    );
    for delayed in [0, usize::MAX] {
        assert_eq!(builder().delayed(delayed).build().unwrap_err().field(), "delayed");
    }
    assert_eq!(builder().workers_between(1, 2).build().unwrap_err().field(), "workers");
    assert_eq!(builder().dwell(SECOND).build().unwrap_err().field(), "dwell");
    for (min, max) in [(0, 4), (5, 4), (1, 10_001)] {
        let builder = builder().workers(0).workers_between(min, max);
        assert_eq!(builder.build().unwrap_err().field(), "workers_between");
    }
    for dwell in [Duration::ZERO, Duration::MAX] {
        let builder = builder().workers(0).workers_between(1, 4).dwell(dwell);
        assert_eq!(builder.build().unwrap_err().field(), "dwell");
    }
}
