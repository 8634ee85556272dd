//! Who leads a call and who follows it, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_singleflight`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use plimsoll::Reason;
use plimsoll::singleflight::{Error, Singleflight};

use self::interleaved::{block_on, model, poll_once, polled_and_dropped};

type Flights = Singleflight<u8, u8, ()>;

fn flights() -> Flights {
    Flights::builder("loom-flights").build().unwrap()
}

/// Nobody is left, and nothing of them.
fn empty(flights: &Flights) {
    let snapshot = flights.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
    let last = flights.run(7, async || Ok(100));
    assert_eq!(block_on(last), Ok(100), "a call that has ended is still in the table");
}

/// A future that is pending once, and woken at once.
async fn pause() {
    let mut was_pending = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut was_pending, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A call of which no two run at once, and that somebody may follow while it is paused.
async fn alone(running: Arc<AtomicU64>, value: u8) -> Result<u8, ()> {
    assert_eq!(running.fetch_add(1, Ordering::Relaxed), 0, "two ran at once");
    pause().await;
    running.fetch_sub(1, Ordering::Relaxed);
    Ok(value)
}

#[test]
fn one_runs_at_a_time_and_everybody_has_a_result() {
    model(3, || {
        let (flights, running) = (flights(), Arc::new(AtomicU64::new(0)));
        let others: Vec<_> = (0..2)
            .map(|value| {
                let call = flights.share(7, alone(Arc::clone(&running), value));
                thread::spawn(move || block_on(call))
            })
            .collect();
        let mut results = vec![block_on(flights.share(7, alone(running, 2)))];
        results.extend(others.into_iter().map(|other| other.join().unwrap()));
        assert!(results.iter().all(Result::is_ok));
        let (ran, details) = (flights.snapshot().admitted, flights.snapshot().details);
        let shared = details.iter().find(|(name, _)| *name == "shared").unwrap().1;
        assert_eq!(ran + shared, 3);
        empty(&flights);
    });
}

#[test]
fn a_leader_that_is_dropped_while_followers_come_strands_none() {
    model(3, || {
        let flights = flights();
        let mut leader = Box::pin(flights.share(7, pending()));
        assert!(poll_once(leader.as_mut()).is_pending());
        let followers: Vec<_> = (0..2)
            .map(|value| {
                let call = flights.share(7, async move { Ok(value) });
                thread::spawn(move || block_on(call))
            })
            .collect();
        drop(leader);
        for follower in followers {
            assert!(follower.join().unwrap().is_ok());
        }
        empty(&flights);
    });
}

#[test]
fn a_lead_is_not_lost_with_a_follower_that_is_dropped_as_it_is_handed_over() {
    model(3, || {
        let flights = flights();
        let mut leader = Box::pin(flights.share(7, pending()));
        assert!(poll_once(leader.as_mut()).is_pending());
        let leaves = {
            let call = flights.share(7, pending());
            thread::spawn(move || drop(polled_and_dropped(call)))
        };
        let stays = {
            let call = flights.share(7, async { Ok(1) });
            thread::spawn(move || block_on(call))
        };
        drop(leader);
        leaves.join().unwrap();
        assert_eq!(stays.join().unwrap(), Ok(1));
        empty(&flights);
    });
}

#[test]
fn an_outcome_beside_a_follower_that_leaves_reaches_the_one_that_stays() {
    model(3, || {
        let flights = flights();
        let leads = flights.share(7, async {
            pause().await;
            Ok(1)
        });
        let mut leads = Box::pin(leads);
        assert!(poll_once(leads.as_mut()).is_pending());
        let leaves = {
            let call = flights.share(7, async { Ok(2) });
            thread::spawn(move || drop(polled_and_dropped(call)))
        };
        let stays = {
            let call = flights.share(7, async { Ok(3) });
            thread::spawn(move || block_on(call))
        };
        assert_eq!(block_on(leads), Ok(1));
        leaves.join().unwrap();
        // It came in time to follow, or too late.
        assert!(matches!(stays.join().unwrap(), Ok(1..=3)));
        empty(&flights);
    });
}

#[test]
fn no_more_keys_are_in_flight_than_may_be() {
    model(3, || {
        let flights = Flights::builder("loom-keys").keys_max(1).build().unwrap();
        let running = Arc::new(AtomicU64::new(0));
        let others: Vec<_> = (0..2)
            .map(|key| {
                let call = flights.share(key, alone(Arc::clone(&running), key));
                thread::spawn(move || block_on(call))
            })
            .collect();
        let ends = others.into_iter().zip(0..2).map(|(other, key)| match other.join().unwrap() {
            Ok(value) => assert_eq!(value, key),
            Err(Error::Rejected(rejected)) => assert_eq!(rejected.reason(), Reason::KeysFull),
            Err(error) => panic!("{error:?}"),
        });
        ends.for_each(drop);
        empty(&flights);
    });
}

#[test]
fn forgetting_beside_a_failure_leaves_no_flight_behind() {
    model(3, || {
        let flights = Flights::builder("loom-forget").negative_for(Duration::from_secs(3_600));
        let flights = flights.build().unwrap();
        let fails = {
            let call = flights.share(7, async { Err(()) });
            thread::spawn(move || block_on(call))
        };
        let forgets = {
            let flights = flights.clone();
            thread::spawn(move || flights.forget(7))
        };
        let own = pin!(flights.share(7, async { Ok(1) }));
        assert!(matches!(block_on(own), Ok(1) | Err(Error::Inner(()))));
        // Whose lead it was to follow may have succeeded.
        assert!(matches!(fails.join().unwrap(), Ok(1) | Err(Error::Inner(()))));
        forgets.join().unwrap();
        flights.forget(7);
        empty(&flights);
    });
}
