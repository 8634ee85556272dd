//! A map in its task.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use proptest::prelude::*;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep};

use super::{Alive, SECOND, panic_text};
use crate::map::{Error, map_local, map_local_stream};
use crate::registry;
use crate::waiters::on_drop;

#[tokio::test(start_paused = true)]
async fn it_borrows_and_keeps_the_order() {
    let rows = vec![String::from("a"), String::from("bcd")];
    let (total, begun) = (Cell::new(0), Instant::now());
    let lengths = map_local(&rows, 8, |row| {
        total.set(total.get() + 1);
        async move {
            sleep(Duration::from_millis(100 - row.len() as u64)).await;
            Ok::<_, ()>(row.len())
        }
    });
    assert_eq!((lengths.await, total.get()), (Ok(vec![1, 3]), 2));
    assert_eq!(begun.elapsed(), Duration::from_millis(99), "both at once");
}

#[tokio::test(start_paused = true)]
async fn only_what_was_woken_is_polled() {
    let polls = Cell::new(0);
    let work = async |n: u32| {
        let mut timer = std::pin::pin!(sleep(n * SECOND));
        poll_fn(|cx| {
            polls.set(polls.get() + 1);
            timer.as_mut().poll(cx)
        })
        .await;
        Ok::<_, ()>(())
    };
    map_local(1..=100, 100, work).await.unwrap();
    assert_eq!(polls.get(), 200, "once to begin and once to end");
}

#[tokio::test(start_paused = true)]
async fn golang_go_27837_futures_rs_2939_a_limit_of_zero_is_refused() {
    let work = async |n: u32| Ok::<_, ()>(n);
    for limit in [0, usize::MAX] {
        assert!(matches!(map_local(0..3, limit, work).await, Err(Error::Invalid(_))));
        assert!(map_local(0..3, limit, work).unordered().is_err());
        assert!(map_local_stream(stream::iter(0..3), limit, work).collect_all().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_error_ends_the_rest() {
    let alive = Alive::default();
    let work = async |n: u32| {
        let _life = alive.begin();
        sleep(n * SECOND).await;
        if n == 3 { Err("disk full") } else { Ok(n) }
    };
    assert_eq!(map_local(1..100, 10, work).await, Err(Error::Failed { first: "disk full", rest: vec![] }));
    assert_eq!((alive.count(), alive.most()), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn a_quorum_and_every_result() {
    let read = async |n: u32| {
        sleep((5 - n) * SECOND).await;
        if n == 4 { Err("down") } else { Ok(n) }
    };
    assert_eq!(map_local(0..5, 5, read).quorum(3).await, Ok(vec![3, 2, 1]));
    assert_eq!(map_local(0..5, 5, read).first_success().await, Ok(3));
    let missed = map_local(3..5, 5, read).quorum(2).await;
    assert_eq!(missed, Err(Error::OutOfReach { wanted: 2, succeeded: 0, errors: vec!["down"] }));
    assert!(matches!(map_local(0..5, 5, read).quorum(6).await, Err(Error::Invalid(_))));
    let unknown = stream::poll_fn({
        let mut items = 0..3;
        move |_| Poll::Ready(items.next())
    });
    assert!(matches!(map_local_stream(unknown, 5, read).quorum(4).await, Err(Error::Invalid(_))));
    assert_eq!(map_local(3..5, 1, read).collect_all().await, Ok(vec![Ok(3), Err("down")]));
}

#[tokio::test(start_paused = true)]
async fn golang_go_53757_a_panic_resumes_after_the_siblings_have_ended() {
    let alive = Rc::new(Alive::default());
    let work = |n: u32| {
        let life = alive.begin();
        let alive = Rc::clone(&alive);
        async move {
            let _life = life;
            if n == 5 {
                assert_eq!(alive.count(), 6);
                panic!("golang 53757");
            }
            pending::<Result<(), ()>>().await
        }
    };
    let mut run = map_local(0..10, 10, work).into_future();
    let payload = AssertUnwindSafe(&mut run).catch_unwind().await.unwrap_err();
    assert_eq!(
        (panic_text(&*payload), alive.count()),
        ("golang 53757", 0),
        "though the map is not yet dropped"
    );
    let mut results = map_local(0..10, 10, work).unordered().unwrap();
    let payload = AssertUnwindSafe(results.next()).catch_unwind().await.unwrap_err();
    assert_eq!((panic_text(&*payload), alive.count()), ("golang 53757", 0));
    assert_eq!(results.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn results_come_as_they_come_and_no_item_is_begun_unasked() {
    let begun = RefCell::new(vec![]);
    let work = async |n: u32| {
        begun.borrow_mut().push(n);
        sleep(n * SECOND).await;
        Ok::<_, ()>(n)
    };
    let mut results = map_local([3, 1, 2], 2, work).unordered().unwrap();
    assert_eq!(*begun.borrow(), []);
    assert_eq!(results.next().await, Some(Ok(1)));
    assert_eq!(*begun.borrow(), [3, 1]);
    assert_eq!(results.next().await, Some(Ok(3)));
    assert_eq!(results.next().await, Some(Ok(2)));
    assert_eq!(results.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_named_map_is_seen_while_it_runs() {
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "map-test-local");
    let work = async |_: u32| {
        let now = seen().unwrap();
        sleep(SECOND).await;
        Ok::<_, ()>((now.limit, now.in_use))
    };
    assert_eq!(map_local(0..3, 2, work).name("map-test-local").await, Ok(vec![(2, 1), (2, 2), (2, 1)]));
    assert!(seen().is_none());
}

#[tokio::test(start_paused = true)]
async fn many_items_take_no_more_memory_than_the_limit() {
    let alive = Alive::default();
    let work = async |n: u32| {
        let _life = alive.begin();
        if n.is_multiple_of(1_000) {
            yield_now().await;
        }
        Ok::<(), ()>(())
    };
    map_local(0..200_000, 64, work).each().await.unwrap();
    assert!(alive.most() <= 64);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_every_point_leaves_nothing_behind() {
    for polls in 0..40 {
        let alive = Alive::default();
        let work = async |n: usize| {
            let _life = alive.begin();
            for _ in 0..n % 5 {
                yield_now().await;
            }
            Ok::<_, ()>(n)
        };
        let mut run = map_local(0..30, 3, work).into_future();
        let mut results = map_local(0..30, 3, work).unordered().unwrap();
        for _ in 0..polls {
            let (mut pinned, mut next) = (Pin::new(&mut run), results.next());
            let done = poll_fn(|cx| {
                let _ = Pin::new(&mut next).poll(cx);
                Poll::Ready(pinned.as_mut().poll(cx).is_ready())
            });
            if done.await {
                break;
            }
            yield_now().await;
        }
        drop((run, results));
        assert_eq!(alive.count(), 0, "after {polls} polls");
    }
}

#[test]
fn a_turn_ends_so_that_others_have_the_thread() {
    let done = Cell::new(0);
    let work = async |_: u32| {
        done.set(done.get() + 1);
        Ok::<(), ()>(())
    };
    let mut run = map_local(0..1_000_000, 8, work).each().into_future();
    assert!(Pin::new(&mut run).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!((1..=1_000).contains(&done.get()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_waits_every_item_is_done_once_and_in_order(
        pauses in proptest::collection::vec((0..3u8, 0..4u8), 0..60),
        limit in 1..9usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let alive = Alive::default();
        let work = async |n: usize| {
            let _life = alive.begin();
            for _ in 0..pauses[n].1 {
                yield_now().await;
            }
            Ok::<_, ()>(n)
        };
        let items = || stream::iter(&pauses).enumerate().then(async |(n, (pauses, _))| {
            for _ in 0..*pauses {
                yield_now().await;
            }
            n
        });
        let all: Vec<_> = (0..pauses.len()).collect();
        runtime.block_on(async {
            prop_assert_eq!(map_local(0..pauses.len(), limit, work).await, Ok(all.clone()));
            prop_assert_eq!(map_local_stream(items(), limit, work).await, Ok(all.clone()));
            let mut results: Vec<_> =
                map_local_stream(items(), limit, work).unordered().unwrap().map(Result::unwrap).collect().await;
            results.sort_unstable();
            prop_assert_eq!(results, all);
            prop_assert!(alive.most() <= limit && alive.count() == 0);
            Ok(())
        })?;
    }
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let item_waker = Arc::new(Mutex::new(None::<Waker>));
    let mut run = map_local(0..1, 1, async |_| {
        poll_fn(|cx| {
            *item_waker.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
        .await;
        Ok::<_, ()>(())
    })
    .into_future();
    let wakes = Arc::clone(&item_waker);
    let waker = on_drop(move || wakes.lock().unwrap().take().unwrap().wake());
    assert!(Pin::new(&mut run).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(Pin::new(&mut run).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
