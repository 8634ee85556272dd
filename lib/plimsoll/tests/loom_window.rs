//! The rolling window's turn beside additions, under every interleaving that loom finds.
//!
//! `RUSTFLAGS="--cfg plimsoll_loom" cargo test -p plimsoll --release --test loom_window`
//!
//! The window is private to the crate: its source is built into this test, with two buckets.
#![cfg(plimsoll_loom)]

#[expect(dead_code, reason = "nobody waits for a window")]
mod interleaved;
#[expect(dead_code, reason = "a window sets nothing once")]
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/window.rs"]
mod window;

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use plimsoll::clock;
use plimsoll::clock::Instant;

use self::interleaved::model;
use self::window::Window;

const TICK: u64 = 100;

fn tick(number: u64) -> Instant {
    Instant::from_nanos(number * TICK)
}

fn window() -> Arc<Window<1>> {
    Arc::new(Window::new(Duration::from_nanos(2 * TICK)))
}

fn adds(window: &Arc<Window<1>>, at: u64) -> thread::JoinHandle<()> {
    let window = Arc::clone(window);
    thread::spawn(move || window.add(tick(at), [1]))
}

#[test]
fn within_a_tick_nothing_is_lost() {
    model(3, || {
        let window = window();
        let threads = [adds(&window, 1), adds(&window, 1)];
        window.add(tick(1), [1]);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((window.sum(tick(1)), window.ever()), ([3], [3]));
    });
}

#[test]
fn while_it_turns_nothing_is_lost_to_what_was_counted_ever() {
    model(3, || {
        let window = window();
        window.add(tick(1), [1]);
        let threads = [adds(&window, 2), adds(&window, 3)];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(window.ever(), [3]);
        let [sum] = window.sum(tick(3));
        assert!(
            (1..=2).contains(&sum),
            "what was added at the last tick is there, and at the first is not: {sum}"
        );
        assert_eq!((window.sum(tick(9)), window.ever()), ([0], [3]));
    });
}

#[test]
fn a_clear_beside_a_turn_and_an_addition_loses_nothing_and_leaves_no_more_than_came_after() {
    model(3, || {
        let window = window();
        window.add(tick(1), [2]);
        let adding = adds(&window, 2);
        window.clear();
        adding.join().unwrap();
        let [sum] = window.sum(tick(2));
        assert!(sum <= 1, "what was there before it was cleared is gone: {sum}");
        assert_eq!(window.ever(), [3]);
    });
}
