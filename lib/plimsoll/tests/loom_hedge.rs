//! Calls that are late at once and want a second try, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_hedge`
//!
//! The delay is a timer of tokio's, whose inside loom does not see: every call is polled once, and the
//! clock turned on, before there is a second thread.
#![cfg(plimsoll_loom)]

#[expect(dead_code, reason = "nobody waits for a second try")]
mod interleaved;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Reason;
use plimsoll::hedge::{Hedge, Policy};
use plimsoll::retry::Budget;
use tokio::runtime::{self, Runtime};

use self::interleaved::poll_once;

const DELAY: Duration = Duration::from_secs(600);

/// A call whose first try hangs.
type Call = Pin<Box<dyn Future<Output = Result<(), ()>>>>;

fn model(body: impl Fn(&Runtime) + Send + Sync + 'static) {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Arc::new(runtime.expect("a runtime without threads"));
    // All of loom's threads are one to tokio.
    let _entered = runtime.enter();
    let clock = Arc::clone(&runtime);
    interleaved::model(3, move || body(&clock));
}

/// So many second tries at once, and so many in all: calls earn nothing here.
fn hedge(extra_max: u32, in_all: u32) -> Hedge {
    let hour = Duration::from_secs(3_600);
    let budget = Budget::builder("loom-extra").ratio(1.0).min_per_second(0).window(hour).build();
    let budget = budget.expect("a budget without a floor");
    (0..in_all).for_each(|_| budget.record_call());
    Hedge::new(Policy::fixed(DELAY).extra_max(extra_max).budget_of_retry(&budget)).expect("a fixed policy")
}

/// A call that waits for its delay to be over.
fn call(hedge: &Hedge, second: impl Future<Output = Result<(), ()>> + 'static) -> Call {
    let (hedge, mut tries) = (hedge.clone(), [Some(second), None]);
    let mut call: Call = Box::pin(async move {
        let next = || {
            tries.rotate_right(1);
            let this = tries[0].take();
            async move {
                match this {
                    Some(second) => second.await,
                    None => pending().await,
                }
            }
        };
        hedge.call(next).await
    });
    assert!(poll_once(call.as_mut()).is_pending());
    call
}

fn delay_is_over(runtime: &Runtime) {
    runtime.block_on(tokio::time::advance(2 * DELAY));
}

/// A second try beside which fewer than `max` others run.
async fn beside(running: Arc<AtomicU64>, max: u64) -> Result<(), ()> {
    assert!(running.fetch_add(1, Ordering::Relaxed) < max, "more run than may");
    running.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// Begins a second try if it may, and ends the call; true when it had an answer.
fn is_answered(mut call: Call) -> bool {
    poll_once(call.as_mut()).is_ready()
}

/// No place is held, and each of the calls had a second try or was refused it; how many had one.
fn had_a_second(hedge: &Hedge, calls: u64, refused_for: Reason) -> u64 {
    let snapshot = hedge.snapshot();
    assert_eq!(snapshot.in_use, 0, "a place was lost");
    let of =
        |reason| snapshot.rejected_by.iter().find(|(by, _)| *by == reason).map_or(0, |(_, count)| *count);
    assert_eq!(snapshot.rejected, of(refused_for));
    calls - snapshot.rejected
}

#[test]
fn never_more_second_tries_run_than_may() {
    model(|runtime| {
        let (hedge, running) = (hedge(1, 3), Arc::new(AtomicU64::new(0)));
        let [first, second, third] = [(); 3].map(|()| call(&hedge, beside(Arc::clone(&running), 1)));
        delay_is_over(runtime);
        let threads = [first, second].map(|call| thread::spawn(move || is_answered(call)));
        let mut answered = u64::from(is_answered(third));
        answered += threads.into_iter().map(|thread| u64::from(thread.join().unwrap())).sum::<u64>();
        assert_eq!(had_a_second(&hedge, 3, Reason::Full), answered);
        assert_eq!((answered > 0, hedge.snapshot().high_water), (true, 1));
    });
}

#[test]
fn the_last_of_the_budget_is_spent_once_and_whoever_comes_too_late_gives_its_place_back() {
    model(|runtime| {
        let (hedge, running) = (hedge(2, 1), Arc::new(AtomicU64::new(0)));
        let [first, second] = [(); 2].map(|()| call(&hedge, beside(Arc::clone(&running), 1)));
        delay_is_over(runtime);
        let thread = thread::spawn(move || is_answered(first));
        let answered = is_answered(second);
        assert!(answered != thread.join().unwrap());
        assert_eq!(had_a_second(&hedge, 2, Reason::BudgetSpent), 1);
    });
}

#[test]
fn a_second_try_that_is_dropped_gives_its_place_to_the_next() {
    model(|runtime| {
        let (hedge, running) = (hedge(1, 3), Arc::new(AtomicU64::new(0)));
        let hangs = call(&hedge, pending());
        let [beside_it, after_it] = [(); 2].map(|()| call(&hedge, beside(Arc::clone(&running), 1)));
        delay_is_over(runtime);
        let hangs = thread::spawn(move || is_answered(hangs));
        is_answered(beside_it);
        assert!(!hangs.join().unwrap());
        assert!(is_answered(after_it), "the place is held by nobody");
        assert!(had_a_second(&hedge, 3, Reason::Full) >= 2);
    });
}
