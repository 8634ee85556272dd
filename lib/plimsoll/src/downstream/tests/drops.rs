//! Dropping a call wherever it may be leaves nothing behind.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{advance, sleep};

use crate::breaker::{self, State};
use crate::downstream::{Downstream, Error, OtherCall};
use crate::rate::Quota;
use crate::{hedge, retry};

const MS: Duration = Duration::from_millis(1);

struct Alive(Rc<Cell<u32>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Polls the call so often, 5 ms apart, and drops it; true if it had ended by then.
async fn polled<F: Future>(call: F, polls: u32) -> bool {
    let mut call = pin!(call);
    for _ in 0..polls {
        if poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await {
            return true;
        }
        advance(5 * MS).await;
    }
    false
}

fn all_parts() -> crate::downstream::Builder {
    Downstream::unnamed()
        .deadline(Duration::from_secs(5))
        .retry(retry::Policy::schedule([20 * MS]))
        .hedge(hedge::Policy::fixed(30 * MS))
        .breaker(breaker::Policy::ratio(0.5).calls_min(100))
        // The second and third try wait for their turns, and then for a place.
        .rate(Quota::per(40 * MS, 1))
        .concurrency(1)
        .wait_up_to(200 * MS)
        .timeout(50 * MS)
}

#[tokio::test(start_paused = true)]
async fn at_every_await_every_permit_and_place_is_given_back() {
    let mut ended = false;
    for polls in 0..200 {
        let slow = OtherCall::new(|_: &Error<u16>| async {
            sleep(20 * MS).await;
            Some(7)
        });
        let downstream = all_parts().fallback(slow).build().unwrap();
        let alive = Rc::new(Cell::new(0));
        let call = downstream.call(|| {
            alive.set(alive.get() + 1);
            let alive = Alive(Rc::clone(&alive));
            async move {
                let _alive = alive;
                sleep(Duration::from_secs(60)).await;
                Ok::<u32, u16>(1)
            }
        });
        ended = polled(call, polls).await;
        let (places, rate) = (downstream.concurrency().unwrap(), downstream.rate().unwrap());
        let left = (alive.get(), places.in_use(), places.waiting(), rate.waiting());
        assert_eq!(left, (0, 0, 0, 0), "after {polls} polls");
        assert_eq!(downstream.hedge().unwrap().snapshot().in_use, 0, "after {polls} polls");
        let place = places.try_acquire();
        assert!(place.is_ok(), "after {polls} polls");
        if ended {
            break;
        }
    }
    assert!(ended, "every await was come to");
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_given_back_wherever_its_call_is_dropped() {
    let mut ended = false;
    for polls in 0..50 {
        let policy = breaker::Policy::ratio(0.5).calls_min(1).probes_max(1).open_for(10 * MS);
        let parts = Downstream::unnamed().breaker(policy).concurrency(1).wait_up_to(200 * MS);
        let downstream = parts.build().unwrap();
        assert!(downstream.call(|| async { Err::<(), u16>(500) }).await.is_err());
        advance(10 * MS).await;
        let place = downstream.concurrency().unwrap().try_acquire().unwrap();
        {
            let mut call = pin!(downstream.call(|| async {
                sleep(50 * MS).await;
                Ok::<(), u16>(())
            }));
            // First it waits for the place, then it is at work.
            if polls > 0 {
                assert!(!polled(call.as_mut(), polls.min(3)).await);
            }
            drop(place);
            ended = polled(call.as_mut(), polls.saturating_sub(3)).await;
        }
        let breaker = downstream.breaker().unwrap();
        assert_eq!(breaker.state() == State::Closed, ended, "after {polls} polls");
        assert!(breaker.try_acquire().is_ok(), "after {polls} polls");
        if ended {
            break;
        }
    }
    assert!(ended, "every await was come to");
}
