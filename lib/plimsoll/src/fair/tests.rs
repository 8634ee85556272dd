use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::waiters::on_drop;
use crate::{Reason, registry};

struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn queue(depth: usize, depth_per_key: usize) -> Fair<u8, u32> {
    Fair::builder("fair-test").depth(depth).depth_per_key(depth_per_key).build().unwrap()
}

fn all(queue: &Fair<u8, u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.try_pop()).collect()
}

#[test]
fn golang_27837_a_bound_of_zero_is_refused_not_waited_for() {
    let new = || Fair::<u8, u32>::builder("fair-zero");
    let refused = |builder: Builder<u8, u32>| builder.build().unwrap_err().to_string();
    assert_eq!(refused(new()), "fair-zero: depth is 0, allowed is 1 to 16,777,216");
    assert!(refused(new().depth(1 << 25)).contains("depth is 33554432"));
    for depth_per_key in [0, 11] {
        let text = refused(new().depth(10).depth_per_key(depth_per_key));
        assert!(text.contains(&format!("depth_per_key is {depth_per_key}, allowed is 1 up to")), "{text}");
    }
    assert!(refused(new().depth(10).keys_max(0)).contains("keys_max is 0"));
    assert!(refused(new().depth(10).quantum(0)).contains("quantum is 0"));
    assert!(new().depth(1).build().is_ok(), "a quarter of one is one");
    assert!(new().depth(1 << 24).quantum(u32::MAX).keys_max(1 << 24).build().is_ok());
}

#[test]
fn trigger_dev_2617_a_key_with_a_thousand_items_does_not_keep_a_key_with_one_waiting() {
    let queue = queue(2_000, 1_000);
    for item in 0..1_000 {
        queue.try_push(1, item).unwrap();
    }
    queue.try_push(2, 7_777).unwrap();
    assert_eq!([queue.try_pop(), queue.try_pop()], [Some(0), Some(7_777)]);
}

#[test]
fn the_depth_of_a_key_the_depth_of_all_and_the_number_of_keys_are_each_refused_by_name() {
    let queue: Fair<u8, u32> =
        Fair::builder("fair-bounds").depth(4).depth_per_key(2).keys_max(3).build().unwrap();
    let refused = |key| {
        let Refused { item, rejected } = queue.try_push(key, 99).unwrap_err();
        assert_eq!(item, 99);
        (rejected.reason(), rejected.to_string())
    };
    for (key, item) in [(1, 10), (1, 11), (2, 20)] {
        queue.try_push(key, item).unwrap();
    }
    assert_eq!(refused(1), (Reason::QueueFull, "fair-bounds 1: queue full, 2 of 2 waiting".into()));
    queue.try_push(3, 30).unwrap();
    assert_eq!(refused(2), (Reason::QueueFull, "fair-bounds 2: queue full, 4 of 4 waiting".into()));
    assert_eq!(refused(4), (Reason::KeysFull, "fair-bounds 4: all 3 keys are busy".into()));
    assert_eq!(refused(1).1, "fair-bounds 1: queue full, 2 of 2 waiting", "the text was kept");
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.limit, snapshot.in_use, snapshot.high_water, snapshot.admitted), (4, 4, 4, 4));
    assert_eq!(snapshot.rejected_by, [(Reason::KeysFull, 1), (Reason::QueueFull, 3)]);
    assert_eq!(snapshot.details, [("keys", 3), ("keys_max", 3), ("served", 0)]);
    assert_eq!(all(&queue), [10, 20, 30, 11]);
    assert_eq!(queue.keys(), 0);
}

#[test]
fn a_weight_or_a_cost_out_of_range_is_refused_and_a_weight_may_change() {
    let queue: Fair<u8, u32> =
        Fair::builder("fair-weight").depth(40).weight(|key| u32::from(*key)).build().unwrap();
    let refused = queue.try_push(0, 1).unwrap_err().rejected;
    assert_eq!((refused.reason(), refused.key()), (Reason::Misconfigured, Some("0")));
    let refused = queue.try_push_cost(1, 1, (1 << 40) + 1).unwrap_err().rejected;
    assert_eq!(refused.reason(), Reason::TooLarge);
    queue.try_push_cost(1, 1, 1 << 40).unwrap();
    queue.try_push_cost(3, 2, 0).unwrap();
    assert_eq!(all(&queue), [2, 1]);
}

#[test]
fn an_item_that_costs_nothing_counts_as_one_so_that_a_turn_ends() {
    let queue = queue(10, 5);
    for item in 0..3 {
        queue.try_push_cost(1, item, 0).unwrap();
        queue.try_push_cost(2, 10 + item, 0).unwrap();
    }
    assert_eq!(all(&queue), [0, 10, 1, 11, 2, 12]);
}

#[test]
fn axum_2582_clones_share_one_queue_and_its_bounds() {
    let queue = queue(2, 1);
    queue.clone().try_push(1, 10).unwrap();
    assert!(queue.clone().try_push(1, 11).is_err());
    assert_eq!(queue.clone().try_pop(), Some(10));
    assert!(queue.is_empty());
}

#[test]
fn pushes_that_wait_take_turns_by_key_and_are_in_order_within_it() {
    let queue = queue(1, 1);
    queue.try_push(9, 0).unwrap();
    let mut waiting: Vec<BoxFuture<'_, _>> = Vec::new();
    for (key, item) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30)] {
        waiting.push(queue.push(key, item).boxed());
    }
    for push in &mut waiting {
        assert!(push.now_or_never().is_none());
    }
    assert_eq!(queue.waiting(), 5);
    assert!(queue.try_push(4, 40).is_err(), "it passed those who wait");
    let served: Vec<_> = std::iter::from_fn(|| queue.try_pop()).collect();
    assert_eq!(served, [0, 10, 20, 30, 11, 12]);
    for push in waiting {
        push.now_or_never().unwrap().unwrap();
    }
    assert_eq!((queue.waiting(), queue.keys(), queue.snapshot().admitted), (0, 0, 6));
}

#[test]
fn dropping_a_push_that_waits_frees_its_place_and_drops_its_item_once() {
    let queue: Fair<u8, Arc<()>> = Fair::builder("fair-drop").depth(1).depth_per_key(1).build().unwrap();
    let item = Arc::new(());
    queue.try_push(1, item.clone()).unwrap();
    let mut first = queue.push(2, item.clone()).boxed();
    let mut second = queue.push(3, item.clone()).boxed();
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!((queue.waiting(), queue.keys(), Arc::strong_count(&item)), (1, 2, 3));
    drop(queue.try_pop());
    // Let in, but not polled since: the item is queued and stays so.
    drop(second);
    assert_eq!((queue.waiting(), queue.len(), queue.keys()), (0, 1, 1));
    drop(queue.try_pop());
    assert_eq!((queue.keys(), Arc::strong_count(&item)), (0, 1));
}

#[test]
fn kanal_24_flume_104_async_channel_87_an_item_is_not_lost_when_the_pop_it_woke_is_dropped() {
    let queue = queue(4, 4);
    let mut first = queue.pop().boxed();
    let mut second = queue.pop().boxed();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    assert!((&mut first).now_or_never().is_none());
    let mut cx = Context::from_waker(&waker);
    assert!(second.poll_unpin(&mut cx).is_pending());
    queue.try_push(1, 7).unwrap();
    assert_eq!(count.get(), 0);
    drop(first);
    assert_eq!((count.get(), queue.len()), (1, 1), "the second was not told");
    assert_eq!(second.now_or_never(), Some(Some(7)));
}

#[test]
fn a_pop_that_somebody_else_was_faster_than_waits_on_and_is_woken_again() {
    let queue = queue(4, 4);
    let mut slow = queue.pop().boxed();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(slow.poll_unpin(&mut cx).is_pending());
    queue.try_push(1, 1).unwrap();
    assert_eq!(queue.try_pop(), Some(1));
    assert!(slow.poll_unpin(&mut cx).is_pending());
    queue.try_push(1, 2).unwrap();
    assert_eq!(count.get(), 2);
    assert_eq!(slow.now_or_never(), Some(Some(2)));
}

#[test]
fn a_closed_queue_refuses_pushes_serves_what_it_has_and_ends() {
    let queue = queue(2, 2);
    queue.try_push(1, 10).unwrap();
    queue.try_push(2, 20).unwrap();
    let mut waits = queue.push(1, 11).boxed();
    assert!((&mut waits).now_or_never().is_none());
    queue.clone().close();
    assert!(queue.is_closed());
    let Refused { item, rejected } = waits.now_or_never().unwrap().unwrap_err();
    assert_eq!((item, rejected.reason()), (11, Reason::Draining));
    assert_eq!(queue.try_push(1, 12).unwrap_err().rejected.reason(), Reason::Draining);
    assert_eq!(queue.pop().now_or_never(), Some(Some(10)));
    assert_eq!(queue.drain(), [20]);
    assert_eq!(queue.pop().now_or_never(), Some(None));
    assert_eq!((queue.len(), queue.keys(), queue.waiting()), (0, 0, 0));
}

#[tokio::test]
async fn closing_wakes_every_pop_that_waits() {
    let queue = queue(2, 2);
    let pops: Vec<_> = (0..40).map(|_| queue.pop()).collect();
    let (ended, ()) = tokio::join!(futures_util::future::join_all(pops), async {
        tokio::task::yield_now().await;
        queue.close();
    });
    assert_eq!(ended, [None; 40]);
}

#[tokio::test(start_paused = true)]
async fn the_waiting_time_runs_from_the_push_to_the_pop() {
    let queue = queue(1, 1);
    queue.push(1, 1).await.unwrap();
    let (pushed, popped) = tokio::join!(queue.push(1, 2), async {
        sleep(Duration::from_secs(2)).await;
        let first = queue.pop().await;
        sleep(Duration::from_secs(3)).await;
        (first, queue.pop().await)
    });
    assert!(pushed.is_ok());
    assert_eq!(popped, (Some(1), Some(2)));
    let waits = queue.snapshot().waits;
    assert_eq!((waits.count(), waits.total()), (2, Duration::from_secs(7)));
}

#[tokio::test]
async fn a_queue_that_is_never_empty_lets_other_tasks_run() {
    let queue = queue(4, 4);
    let other_ran = AtomicBool::new(false);
    let busy = async {
        for item in 0..1_000 {
            queue.push(1, item).await.unwrap();
            assert_eq!(queue.pop().await, Some(item));
        }
        assert!(other_ran.load(Ordering::Relaxed), "a thousand items without once yielding");
    };
    // A task of its own for each: a join would take turns by itself.
    let other = async {
        tokio::task::yield_now().await;
        other_ran.store(true, Ordering::Relaxed);
    };
    tokio::join!(busy, other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_producers_and_consumers_pass_every_item_once() {
    let queue: Fair<u8, u32> = Fair::builder("fair-many").depth(8).depth_per_key(3).build().unwrap();
    let mut producers = tokio::task::JoinSet::new();
    let mut consumers = tokio::task::JoinSet::new();
    for producer in 0..8_u32 {
        let queue = queue.clone();
        producers.spawn(async move {
            for item in 0..200 {
                queue.push((producer % 5) as u8, producer * 1_000 + item).await.unwrap();
            }
        });
    }
    for _ in 0..3 {
        let queue = queue.clone();
        consumers.spawn(async move {
            let mut got = Vec::new();
            while let Some(item) = queue.pop().await {
                got.push(item);
            }
            got
        });
    }
    producers.join_all().await;
    queue.close();
    let mut got: Vec<_> = consumers.join_all().await.concat();
    got.sort_unstable();
    let sent: Vec<_> =
        (0..8).flat_map(|producer| (0..200).map(move |item| producer * 1_000 + item)).collect();
    assert_eq!(got, sent);
    let snapshot = queue.snapshot();
    assert!(snapshot.high_water <= 8);
    assert_eq!((snapshot.in_use, snapshot.waiting, queue.keys()), (0, 0, 0));
}

#[test]
fn the_last_handle_takes_it_out_of_the_registry_and_its_futures_can_be_sent() {
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    let queue: Fair<u8, u32> = Fair::builder("fair-registered").depth(1).build().unwrap();
    drop((send(queue.push(1, 1)), send(queue.pop())));
    let seen =
        || registry::snapshot().iter().filter(|bound| bound.name.as_str() == "fair-registered").count();
    assert_eq!(seen(), 1);
    drop(queue);
    assert_eq!(seen(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    TryPush(u8),
    Push(u8),
    Pop,
    DropPush(prop::sample::Index),
    PollPush(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4u8).prop_map(Step::TryPush),
        4 => (0..4u8).prop_map(Step::Push),
        5 => Just(Step::Pop),
        1 => any::<prop::sample::Index>().prop_map(Step::DropPush),
        2 => any::<prop::sample::Index>().prop_map(Step::PollPush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bound_is_exceeded_no_item_lost_and_nobody_waits_who_could_be_let_in(
        depth in 1usize..6,
        depth_per_key in 1usize..4,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let depth_per_key = depth_per_key.min(depth);
        let queue = queue(depth, depth_per_key);
        let mut waiting: Vec<(u8, u32, BoxFuture<'_, _>)> = Vec::new();
        // By key: what was queued or waits, in order; an item leaves it when it is popped or dropped.
        let mut model: BTreeMap<u8, VecDeque<u32>> = BTreeMap::new();
        for (item, step) in (0u32..).zip(steps) {
            match step {
                Step::TryPush(key) => {
                    if queue.try_push(key, item).is_ok() {
                        model.entry(key).or_default().push_back(item);
                    }
                }
                Step::Push(key) => {
                    let mut push = queue.push(key, item).boxed();
                    match (&mut push).now_or_never() {
                        Some(Ok(())) => model.entry(key).or_default().push_back(item),
                        None => {
                            model.entry(key).or_default().push_back(item);
                            waiting.push((key, item, push));
                        }
                        Some(Err(refused)) => prop_assert!(false, "{refused}"),
                    }
                }
                Step::Pop => {
                    if let Some(popped) = queue.try_pop() {
                        let owner = model.values_mut().find(|items| items.front() == Some(&popped));
                        prop_assert!(owner.is_some(), "{} was popped out of order, or twice", popped);
                        owner.unwrap().pop_front();
                    } else {
                        prop_assert!(model.values().all(VecDeque::is_empty));
                    }
                }
                Step::DropPush(which) if !waiting.is_empty() => {
                    let before = queue.waiting();
                    let (key, item, push) = waiting.swap_remove(which.index(waiting.len()));
                    drop(push);
                    if queue.waiting() < before {
                        model.entry(key).or_default().retain(|other| *other != item);
                    }
                }
                Step::PollPush(which) if !waiting.is_empty() => {
                    let which = which.index(waiting.len());
                    if let Some(done) = (&mut waiting[which].2).now_or_never() {
                        prop_assert!(done.is_ok());
                        drop(waiting.swap_remove(which));
                    }
                }
                Step::DropPush(_) | Step::PollPush(_) => {}
            }
            let known: usize = model.values().map(VecDeque::len).sum();
            prop_assert_eq!(queue.len() + queue.waiting(), known);
            prop_assert!(queue.len() <= depth);
            for (key, items) in &model {
                let queued = queue.key_len(key);
                prop_assert!(queued <= depth_per_key);
                let could_be_let_in = queue.len() < depth && queued < depth_per_key;
                prop_assert!(items.len() == queued || !could_be_let_in, "key {} waits in vain", key);
            }
        }
        drop(waiting);
        let left = all(&queue);
        prop_assert!(queue.keys() == 0 && queue.waiting() == 0 && left.len() <= depth);
    }
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let queue = queue(1, 1);
    for is_full in [false, true] {
        if is_full {
            queue.try_push(0, 7).unwrap();
        }
        for is_replaced in [true, false] {
            let mut waits: BoxFuture<'_, ()> =
                if is_full { queue.push(0, 8).map(drop).boxed() } else { queue.pop().map(drop).boxed() };
            let again = queue.clone();
            let waker = on_drop(move || assert!(again.len() <= 1));
            assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            if is_replaced {
                assert!(waits.as_mut().now_or_never().is_none());
            }
            drop(waits);
        }
    }
    assert_eq!((all(&queue), queue.snapshot().waiting), (vec![7], 0));
}

#[test]
fn the_key_in_a_rejection_is_short_and_on_one_line() {
    let queue: Fair<String, u32> = Fair::builder("fair-label").depth(1).build().unwrap();
    queue.try_push("a".into(), 1).unwrap();
    let refused = queue.try_push(format!("x\n{}", "y".repeat(1 << 20)), 2).unwrap_err().rejected;
    let key = refused.key().unwrap();
    assert!(key.starts_with("x\u{fffd}y") && key.chars().count() == 64, "{} characters", key.len());
    let weightless: Fair<String, u32> =
        Fair::builder("fair-label").depth(1).weight(|_: &String| 0).build().unwrap();
    let refused = weightless.try_push("x".repeat(1 << 20), 2).unwrap_err().rejected;
    assert_eq!(refused.key().map(str::len), Some(64));
}
