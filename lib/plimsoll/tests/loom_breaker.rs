//! The breaker's word, its settling and its probes, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_breaker`
//!
//! What loom replays must be the same every time, and the clock does not stand still: the windows are a
//! day long, so that nothing turns, and whoever comes late says when.
#![cfg(plimsoll_loom)]

#[expect(dead_code, reason = "nobody waits for a breaker")]
mod interleaved;

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Outcome;
use plimsoll::breaker::{Breaker, OwnedPermit, Policy, State};
use plimsoll::clock::{self, Instant};
use plimsoll::limiter::Limiter;

use self::interleaved::model;

const DAY: Duration = Duration::from_secs(86_400);

fn breaker(failures: u32, probes: u32) -> Breaker {
    Breaker::new(Policy::consecutive(failures).window(DAY).open_for(DAY).probes_max(probes)).unwrap()
}

/// After the breaker's open time.
fn late() -> Instant {
    clock::now() + 3 * DAY
}

fn admit(breaker: &Breaker) -> OwnedPermit {
    breaker.try_acquire_owned_at(clock::now()).unwrap()
}

fn finishes(permit: OwnedPermit, outcome: Outcome) -> thread::JoinHandle<()> {
    thread::spawn(move || permit.finish(outcome))
}

fn opened(breaker: &Breaker) {
    admit(breaker).finish(Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn no_failure_in_a_row_is_lost_and_it_opens_once() {
    model(3, || {
        let breaker = breaker(3, 1);
        let threads = [admit(&breaker), admit(&breaker)].map(|permit| finishes(permit, Outcome::Failure));
        admit(&breaker).finish(Outcome::Failure);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(breaker.state(), State::Open);
        let refused = breaker.try_acquire_owned_at(clock::now()).unwrap_err();
        assert!(refused.retry_after().is_some_and(|after| after > DAY / 2));
    });
}

#[test]
fn half_open_lets_no_more_than_its_probes_through_and_every_one_comes_back() {
    model(2, || {
        let breaker = breaker(1, 1);
        opened(&breaker);
        let out = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (breaker, out) = (breaker.clone(), out.clone());
                thread::spawn(move || probes(&breaker, &out))
            })
            .collect();
        probes(&breaker, &out);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.try_acquire_owned_at(late()).unwrap().finish(Outcome::Success);
        assert_eq!(breaker.state(), State::Closed, "a probe was lost");
    });

    fn probes(breaker: &Breaker, out: &AtomicU64) {
        if let Ok(permit) = breaker.try_acquire_owned_at(late()) {
            assert_eq!(out.fetch_add(1, Ordering::Relaxed), 0, "two probes at once");
            out.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        }
    }
}

#[test]
fn good_probes_beside_each_other_close_it_and_a_bad_one_opens_it() {
    for (second, expected) in [(Outcome::Success, State::Closed), (Outcome::Failure, State::Open)] {
        model(3, move || {
            let breaker = breaker(1, 2);
            opened(&breaker);
            let permits = [breaker.try_acquire_owned_at(late()), breaker.try_acquire_owned_at(late())];
            let [one, other] = permits.map(|permit| permit.unwrap());
            let thread = finishes(one, Outcome::Success);
            other.finish(second);
            thread.join().unwrap();
            assert_eq!(breaker.state(), expected);
        });
    }
}

#[test]
fn what_began_before_a_change_does_not_open_it_again() {
    model(3, || {
        let breaker = breaker(1, 1);
        let stale = admit(&breaker);
        opened(&breaker);
        let thread = finishes(stale, Outcome::Failure);
        breaker.try_acquire_owned_at(late()).unwrap().finish(Outcome::Success);
        thread.join().unwrap();
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn force_stays_whatever_ends_beside_it() {
    model(3, || {
        let breaker = breaker(1, 1);
        let thread = finishes(admit(&breaker), Outcome::Failure);
        breaker.force_closed();
        thread.join().unwrap();
        assert_eq!(breaker.state(), State::Closed);
        admit(&breaker).finish(Outcome::Failure);
        assert_eq!(breaker.state(), State::Closed);
    });
}
