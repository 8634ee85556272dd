//! What connects two stages, under every interleaving that loom finds.
//!
//! The stages themselves are tokio's tasks, which loom does not know; so their link is taken from its
//! source file.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_pipeline`
#![cfg(plimsoll_loom)]
#![expect(dead_code, reason = "the files have more than the models use")]

mod interleaved;
#[path = "../src/pipeline/line.rs"]
mod line;
#[path = "../src/pipeline/link.rs"]
mod link;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/waiters.rs"]
mod waiters;

use std::sync::Arc;
use std::task::Poll;

use loom::thread;

use self::interleaved::{block_on, model, polled_and_dropped};
use self::link::{Link, Order, Producer};

/// What a link counts items by where nobody takes them.
mod meter {
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    pub(crate) struct Meter(AtomicU64);

    impl Meter {
        pub(crate) fn item_in(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Takes until the link is closed.
fn drained(link: &Link<u64>) -> Vec<u64> {
    std::iter::from_fn(|| block_on(link.take()).map(|(_, item)| item)).collect()
}

#[test]
fn every_item_is_taken_and_the_close_is_seen() {
    model(3, || {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 2));
        let putters = [0, 1].map(|item| {
            let producer = Producer::new(Arc::clone(&link));
            thread::spawn(move || block_on(producer.put(0, Some(item))))
        });
        let mut items = drained(&link);
        items.sort_unstable();
        assert_eq!(items, [0, 1]);
        for putter in putters {
            putter.join().unwrap();
        }
    });
}

#[test]
fn items_come_out_by_number_with_holes_among_them() {
    model(3, || {
        let link = Arc::new(Link::new(2, Order::ByNumber, 2));
        let putters = [(0, None), (1, Some(1))].map(|(number, item)| {
            let producer = Producer::new(Arc::clone(&link));
            thread::spawn(move || block_on(producer.put(number, item)))
        });
        assert_eq!(drained(&link), [1]);
        for putter in putters {
            putter.join().unwrap();
        }
    });
}

#[test]
fn the_close_beside_an_item_reaches_every_taker() {
    model(3, || {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        let takers = [(); 2].map(|()| {
            let link = Arc::clone(&link);
            thread::spawn(move || drained(&link))
        });
        block_on(producer.put(0, Some(7)));
        drop(producer);
        let taken = takers.map(|taker| taker.join().unwrap()).concat();
        assert_eq!(taken, [7]);
    });
}

#[test]
fn a_taker_that_is_dropped_as_it_is_called_passes_the_item_on() {
    model(3, || {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        let leaves = {
            let link = Arc::clone(&link);
            thread::spawn(move || matches!(polled_and_dropped(link.take()), Poll::Ready(Some(_))))
        };
        let stays = {
            let link = Arc::clone(&link);
            thread::spawn(move || block_on(link.take()))
        };
        block_on(producer.put(0, Some(7)));
        // Closing would call the other too: only where the item was taken is there nothing else.
        if leaves.join().unwrap() {
            drop(producer);
            assert_eq!(stays.join().unwrap(), None);
        } else {
            assert!(stays.join().unwrap().is_some());
        }
    });
}

#[test]
fn room_is_not_lost_with_a_put_that_is_dropped_as_it_is_called() {
    model(3, || {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 2));
        let (first, second) = (Producer::new(Arc::clone(&link)), Producer::new(Arc::clone(&link)));
        block_on(first.put(0, Some(0)));
        let leaves = thread::spawn(move || polled_and_dropped(first.put(0, Some(1))).is_ready());
        let stays = thread::spawn(move || block_on(second.put(0, Some(2))));
        let mut items = drained(&link);
        items.sort_unstable();
        let had_room = leaves.join().unwrap();
        assert_eq!(items, if had_room { vec![0, 1, 2] } else { vec![0, 2] });
        stays.join().unwrap();
    });
}
