//! Who waits for an item or for room in a fair queue, and for an input of a merge, under every
//! interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_flow`
#![cfg(plimsoll_loom)]

mod interleaved;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use loom::sync::Mutex;
use loom::thread;
use plimsoll::fair::Fair;
use plimsoll::merge::{Event, Merge};

use self::interleaved::{block_on, model, polled_and_dropped};

fn queue(depth: usize) -> Fair<u8, u8> {
    Fair::builder("loom-fair").depth(depth).depth_per_key(depth).build().unwrap()
}

#[test]
fn every_item_pushed_is_popped_by_somebody_who_waits() {
    model(2, || {
        let queue = queue(1);
        let pushers: Vec<_> = (0..2)
            .map(|key| {
                let queue = queue.clone();
                thread::spawn(move || block_on(queue.push(key, key)).unwrap())
            })
            .collect();
        let mut items = [block_on(queue.pop()), block_on(queue.pop())];
        items.sort_unstable();
        assert_eq!(items, [Some(0), Some(1)]);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        assert_eq!((queue.len(), queue.keys(), queue.waiting()), (0, 0, 0));
    });
}

#[test]
fn an_item_is_not_lost_with_a_pop_that_was_dropped() {
    model(2, || {
        let queue = queue(2);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.pop()))
        };
        let pusher = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_push(1, 7).unwrap())
        };
        let taken = polled_and_dropped(queue.pop());
        pusher.join().unwrap();
        // If this thread did not take it, the other does: it must have been told. Else it is closed.
        if taken == Poll::Ready(Some(7)) {
            queue.close();
            assert_eq!(other.join().unwrap(), None);
        } else {
            assert_eq!(other.join().unwrap(), Some(7));
        }
    });
}

/// One item, which another thread gives.
#[derive(Clone)]
struct Given(Arc<Mutex<State>>);

struct State {
    item: Option<u8>,
    is_given: bool,
    waker: Option<Waker>,
}

impl Given {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { item: None, is_given: false, waker: None })))
    }

    fn give(&self, item: u8) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            (state.item, state.is_given) = (Some(item), true);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Stream for Given {
    type Item = u8;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u8>> {
        let mut state = self.0.lock().unwrap();
        if let Some(item) = state.item.take() {
            return Poll::Ready(Some(item));
        }
        if state.is_given {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn no_wake_of_an_input_is_lost_and_one_added_from_elsewhere_is_seen() {
    model(2, || {
        let mut merge = Merge::builder("loom-merge").inputs_max(2).build().unwrap();
        let (first, second) = (Given::new(), Given::new());
        merge.add(first.clone()).unwrap();
        let handle = merge.handle();
        let gives = thread::spawn(move || first.give(1));
        let adds = thread::spawn(move || {
            second.give(2);
            handle.add(second).unwrap();
        });
        let (mut items, mut ended) = (Vec::new(), 0);
        while let Some((_, event)) = block_on(merge.next()) {
            match event {
                Event::Item(item) => items.push(item),
                Event::Ended => ended += 1,
            }
        }
        items.sort_unstable();
        assert_eq!((items, ended), (vec![1, 2], 2));
        gives.join().unwrap();
        adds.join().unwrap();
    });
}

#[test]
fn an_input_removed_from_elsewhere_ends_once() {
    model(2, || {
        let mut merge = Merge::builder("loom-merge-remove").inputs_max(1).build().unwrap();
        let input = Given::new();
        let id = merge.add(input.clone()).unwrap();
        let handle = merge.handle();
        let removes = thread::spawn(move || handle.remove(id));
        let gives = thread::spawn(move || input.give(1));
        let mut ended = 0;
        while let Some((_, event)) = block_on(merge.next()) {
            ended += usize::from(event == Event::Ended);
        }
        removes.join().unwrap();
        gives.join().unwrap();
        assert_eq!((ended, merge.len()), (1, 0));
    });
}
