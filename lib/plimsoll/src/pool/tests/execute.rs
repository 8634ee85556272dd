//! Jobs that nobody waits for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time::{advance, sleep};

use super::{detail, seen, settle};
use crate::Reason;
use crate::pool::{Cause, OnFull, Pool};
use crate::scope::{self, Scope};

const SECOND: Duration = Duration::from_secs(1);

const MODES: [OnFull; 6] = [
    OnFull::Wait,
    OnFull::WaitUpTo(SECOND),
    OnFull::Reject,
    OnFull::DropOldest,
    OnFull::DropNewest,
    OnFull::RunInCaller,
];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A job of this lane that takes so many seconds; three panic.
    Submit(u8, u8),
    Try(u8, u8),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3, 0u8..4).prop_map(|(lane, takes)| Step::Submit(lane, takes)),
        3 => (0u8..3, 0u8..4).prop_map(|(lane, takes)| Step::Try(lane, takes)),
        2 => Just(Step::Pass),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Ticket,
    Execution,
}

/// What became of the jobs: each answer, and the counts after the drain.
fn history(by: By, on_full: OnFull, steps: &[Step]) -> (Vec<Option<Reason>>, Vec<(&'static str, u64)>) {
    let job = |(_, takes): (u8, u8)| async move {
        assert_ne!(takes, 3, "a job that panics");
        sleep(SECOND * u32::from(takes)).await;
    };
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // A name of its own: a snapshot elsewhere may hold the pool before this one a little longer.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("pool-execute-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    runtime.block_on(async {
        let pool = Pool::builder(&name, job).workers(2).queue(3).lane_depth(2);
        let pool = pool.on_full(on_full).lanes(|job: &(u8, u8)| job.0).build().unwrap();
        let mut answers = Vec::new();
        for step in steps {
            let answer = match (*step, by) {
                (Step::Submit(lane, takes), By::Ticket) => pool.submit((lane, takes)).await.map(drop),
                (Step::Submit(lane, takes), By::Execution) => pool.execute((lane, takes)).await,
                (Step::Try(lane, takes), By::Ticket) => pool.try_submit((lane, takes)).map(drop),
                (Step::Try(lane, takes), By::Execution) => pool.try_execute((lane, takes)),
                (Step::Pass, _) => {
                    advance(SECOND).await;
                    Ok(())
                }
            };
            answers.push(answer.err().map(|refused| refused.rejected.reason()));
            settle().await;
        }
        assert!(pool.drain(3_600 * SECOND).await.is_empty());
        let snapshot = seen(&pool);
        let mut counts = snapshot.details.clone();
        counts.extend([("admitted", snapshot.admitted), ("rejected", snapshot.rejected)]);
        (answers, counts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn executing_is_submitting_and_dropping_the_ticket(
        mode in 0..MODES.len(),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let on_full = MODES[mode];
        prop_assert_eq!(history(By::Execution, on_full, &steps), history(By::Ticket, on_full, &steps));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_a_dead_letter_when_it_fails() {
    let (sender, mut letters) = mpsc::channel(8);
    let job = |n: u32| async move {
        assert_ne!(n, 2, "the second panics");
        if n == 1 { Err("the first fails") } else { Ok(()) }
    };
    let pool = Pool::builder("pool-execute-letters", job).workers(1).queue(8).dead_letters(sender);
    let pool = pool.build().unwrap();
    for n in 1..=3 {
        pool.execute(n).await.unwrap();
    }
    assert!(pool.drain(SECOND).await.is_empty());
    let [first, second] = [letters.recv().await.unwrap(), letters.recv().await.unwrap()];
    assert_eq!((first.job, first.cause, first.error.as_str()), (1, Cause::Failed, "the first fails"));
    assert_eq!((second.job, second.cause), (2, Cause::Panicked));
    assert!(letters.try_recv().is_err());
    let counts = ["completed", "failed", "panicked"].map(|count| detail(&pool, count));
    assert_eq!(counts, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_panics_when_it_is_dropped_is_a_panic_of_the_job() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let pool =
        Pool::builder("pool-execute-bomb", |_: u32| async { Bomb }).workers(1).queue(8).build().unwrap();
    for n in 0..3 {
        pool.execute(n).await.unwrap();
    }
    settle().await;
    assert_eq!((detail(&pool, "panicked"), detail(&pool, "workers")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn executing_from_inside_of_the_pool_does_not_deadlock() {
    type Jobs = Pool<u32, ()>;
    for on_full in [OnFull::Wait, OnFull::WaitUpTo(3_600 * SECOND), OnFull::RunInCaller] {
        let slot: Arc<OnceLock<Weak<Jobs>>> = Arc::default();
        let inner = Arc::clone(&slot);
        let job = move |n: u32| {
            let pool = inner.get().and_then(Weak::upgrade);
            async move {
                for _ in 0..n {
                    pool.as_ref().unwrap().execute(n - 1).await.unwrap();
                }
            }
        };
        let pool = Pool::builder("pool-execute-nested", job).workers(1).queue(1).on_full(on_full);
        let pool = Arc::new(pool.build().unwrap());
        slot.set(Arc::downgrade(&pool)).unwrap();
        pool.execute(5).await.unwrap();
        while detail(&pool, "completed") < 326 {
            sleep(SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_back_what_nobody_waits_for() {
    let job = |n: u32| async move { sleep(SECOND * n).await };
    let pool = Pool::builder("pool-execute-drain", job).workers(1).queue(8).build().unwrap();
    for n in [10, 11, 12] {
        pool.execute(n).await.unwrap();
    }
    settle().await;
    let left = pool.drain(SECOND).await;
    assert_eq!((left.not_started, left.abandoned), (vec![11, 12], 1));
    let refused = pool.execute(13).await.unwrap_err();
    assert_eq!((refused.job, refused.rejected.reason()), (13, Reason::Draining));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_inherits_the_scope() {
    let (sender, mut labels) = mpsc::channel(8);
    let job = move |(): ()| {
        let sender = sender.clone();
        async move { sender.send(scope::current().label_value("tenant").map(str::to_owned)).await.unwrap() }
    };
    let pool = Pool::builder("pool-execute-scope", job).workers(1).queue(8).build().unwrap();
    Scope::new().label("tenant", "acme").run(async { pool.execute(()).await.unwrap() }).await.unwrap();
    pool.execute(()).await.unwrap();
    assert_eq!(labels.recv().await.unwrap().as_deref(), Some("acme"));
    assert_eq!(labels.recv().await.unwrap(), None);
}
