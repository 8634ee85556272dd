//! Who waits for a place by priority, under every interleaving that loom finds.
//!
//! Waiting takes a timer of tokio's, whose inside loom does not see: a runtime is entered that runs
//! nothing, and its timers fire when a model turns its clock on.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_shed`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Reason;
use plimsoll::shed::{Builder, Priority, Shed};
use tokio::runtime::{self, Runtime};

use self::interleaved::{block_on, polled_and_dropped};

fn model(body: impl Fn(&Runtime) + Send + Sync + 'static) {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Arc::new(runtime.unwrap());
    // All of loom's threads are one to tokio.
    let _entered = runtime.enter();
    let clock = Arc::clone(&runtime);
    interleaved::model(3, move || body(&clock));
}

/// Nobody is shed for the time that it waits.
fn patient(concurrency: u64) -> Builder {
    let hour = Duration::from_secs(3_600);
    Shed::builder("loom-shed").concurrency(concurrency).target(hour).interval(hour)
}

fn whole(shed: &Shed) {
    assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
    let all: Vec<_> = (0..shed.limit()).map(|_| shed.try_acquire(Priority::CRITICAL).unwrap()).collect();
    drop(all);
}

#[test]
fn everybody_gets_a_turn_and_never_more_than_there_are_places() {
    model(|_| {
        let shed = patient(1).build().unwrap();
        let inside = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = [Priority::CRITICAL, Priority::SHEDDABLE]
            .into_iter()
            .map(|priority| {
                let (shed, inside) = (shed.clone(), Arc::clone(&inside));
                thread::spawn(move || work(&shed, &inside, priority))
            })
            .collect();
        work(&shed, &inside, Priority::CRITICAL_PLUS);
        for thread in threads {
            thread.join().unwrap();
        }
        whole(&shed);
        assert_eq!(shed.snapshot().high_water, 1);
    });

    fn work(shed: &Shed, inside: &AtomicU64, priority: Priority) {
        let permit = block_on(shed.acquire(priority)).unwrap();
        assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "more are in than there are places");
        inside.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    }
}

#[test]
fn a_place_is_not_lost_with_a_waiter_that_is_dropped_while_it_is_granted() {
    model(|_| {
        let shed = patient(1).build().unwrap();
        let held = shed.try_acquire(Priority::CRITICAL).unwrap();
        let leaves = {
            let shed = shed.clone();
            thread::spawn(move || drop(polled_and_dropped(shed.acquire(Priority::CRITICAL_PLUS))))
        };
        let waits = {
            let shed = shed.clone();
            thread::spawn(move || drop(block_on(shed.acquire(Priority::SHEDDABLE)).unwrap()))
        };
        drop(held);
        leaves.join().unwrap();
        waits.join().unwrap();
        whole(&shed);
    });
}

#[test]
fn who_makes_room_in_the_queue_is_told_once_or_has_its_place() {
    model(|_| {
        let shed = patient(1).queue(1).build().unwrap();
        let held = shed.try_acquire(Priority::CRITICAL).unwrap();
        let threads = [Priority::CRITICAL, Priority::SHEDDABLE].map(|priority| {
            let shed = shed.clone();
            thread::spawn(move || block_on(shed.acquire(priority)).map(drop))
        });
        drop(held);
        let [more, less] = threads.map(|thread| thread.join().unwrap());
        assert!(more.is_ok(), "there was somebody to make room for it");
        if let Err(rejected) = less {
            assert!(matches!(rejected.reason(), Reason::Shed | Reason::QueueFull));
        }
        whole(&shed);
    });
}

#[test]
fn a_growth_beside_a_waiter_that_comes_is_not_missed() {
    model(|_| {
        let shed = patient(1).build().unwrap();
        let held = shed.try_acquire(Priority::CRITICAL).unwrap();
        let waits: Vec<_> = [Priority::CRITICAL, Priority::SHEDDABLE]
            .into_iter()
            .map(|priority| {
                let shed = shed.clone();
                thread::spawn(move || drop(block_on(shed.acquire(priority)).unwrap()))
            })
            .collect();
        shed.resize(2).unwrap();
        waits.into_iter().for_each(|thread| thread.join().unwrap());
        drop(held);
        whole(&shed);
    });
}

#[test]
fn a_patience_that_ends_as_a_place_is_granted_neither_loses_it_nor_has_it_twice() {
    model(|runtime| {
        let shed = patient(1).build().unwrap();
        let held = shed.try_acquire(Priority::CRITICAL).unwrap();
        let waits = {
            let shed = shed.clone();
            thread::spawn(move || match block_on(shed.acquire(Priority::CRITICAL)) {
                Ok(permit) => drop(permit),
                Err(rejected) => assert_eq!(rejected.reason(), Reason::Shed),
            })
        };
        let releases = thread::spawn(move || drop(held));
        // Loom does not see the clock, but this lock, and so takes the one with the other.
        let _ = shed.waiting();
        runtime.block_on(tokio::time::advance(Duration::from_secs(7_200)));
        waits.join().unwrap();
        releases.join().unwrap();
        whole(&shed);
    });
}
