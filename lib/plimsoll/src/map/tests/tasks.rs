//! A map on tasks.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, Stream};
use proptest::prelude::*;
use tokio::sync::Barrier;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep};

use super::{Alive, SECOND, panic_text};
use crate::map::policy::Ledger;
use crate::map::{Each, Error, Policy, each, map, map_stream};
use crate::scope::{self, Scope};
use crate::semaphore::Semaphore;
use crate::{clock, registry};

async fn doubled(n: u64) -> Result<u64, Infallible> {
    sleep(Duration::from_millis(100 - n % 100)).await;
    Ok(n * 2)
}

#[tokio::test(start_paused = true)]
async fn values_come_in_input_order() {
    let begun = Instant::now();
    assert_eq!(map(0..100, 100, doubled).await, Ok((0..100).map(|n| n * 2).collect()));
    assert_eq!(begun.elapsed(), Duration::from_millis(100), "all at once");
    let items = stream::iter(0..1_000).then(async |n| {
        yield_now().await;
        n
    });
    assert_eq!(map_stream(items.boxed(), 7, doubled).await, Ok((0..1_000).map(|n| n * 2).collect()));
    assert_eq!(map(0..0, 7, doubled).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_run_and_no_item_is_taken_early() {
    let (alive, taken) = (Alive::default(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&taken);
    let items = (0..50).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let (seen, done) = (alive.clone(), Arc::new(AtomicUsize::new(0)));
    let finished = Arc::clone(&done);
    let work = move |_| {
        let life = seen.begin();
        let (taken, done) = (Arc::clone(&taken), Arc::clone(&finished));
        async move {
            let _life = life;
            sleep(SECOND).await;
            assert!(taken.load(Ordering::SeqCst) <= done.fetch_add(1, Ordering::SeqCst) + 7);
            Ok::<_, ()>(())
        }
    };
    map(items, 7, work).await.unwrap();
    assert_eq!((alive.most(), alive.count(), done.load(Ordering::SeqCst)), (7, 0, 50));
}

#[tokio::test(start_paused = true)]
async fn the_first_error_ends_the_rest_before_it_is_returned() {
    let alive = Alive::default();
    let seen = alive.clone();
    let work = move |n: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            sleep(n * SECOND).await;
            if n == 3 { Err("disk full") } else { Ok(n) }
        }
    };
    let begun = Instant::now();
    assert_eq!(map(1..100, 10, work).await, Err(Error::Failed { first: "disk full", rest: vec![] }));
    assert_eq!((alive.count(), begun.elapsed()), (0, 3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn golang_go_27837_futures_rs_2939_a_limit_of_zero_is_refused() {
    let work = async |n: u32| Ok::<_, ()>(n);
    for limit in [0, usize::MAX] {
        assert!(
            matches!(map(0..3, limit, work).await, Err(Error::Invalid(invalid)) if invalid.field() == "limit")
        );
        assert!(map(0..3, limit, work).collect_all().await.is_err());
        assert!(map(0..3, limit, work).each().await.is_err());
        assert!(map(0..3, limit, work).quorum(1).await.is_err());
        assert!(map(0..3, limit, work).first_success().await.is_err());
        assert!(map(0..3, limit, work).unordered().is_err());
        assert!(map_stream(stream::iter(0..3), limit, work).await.is_err());
    }
    assert!(
        matches!(map(0..3, 1, work).name("").await, Err(Error::Invalid(invalid)) if invalid.field() == "name")
    );
}

#[tokio::test(start_paused = true)]
async fn golang_go_53757_74275_a_panic_resumes_at_the_call_after_the_siblings_have_ended() {
    let alive = Alive::default();
    let seen = alive.clone();
    let work = move |n: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            sleep(SECOND).await;
            if n == 5 {
                panic!("golang 53757");
            }
            pending::<Result<(), ()>>().await
        }
    };
    let payload =
        AssertUnwindSafe(map(0..10, 10, work.clone()).into_future()).catch_unwind().await.unwrap_err();
    assert_eq!((panic_text(&*payload), alive.count()), ("golang 53757", 0));

    let mut results = map(0..10, 10, work).unordered().unwrap();
    let payload = AssertUnwindSafe(results.next()).catch_unwind().await.unwrap_err();
    assert_eq!((panic_text(&*payload), alive.count()), ("golang 53757", 0));
    assert_eq!(results.next().await, None, "and then it has ended");
}

#[tokio::test(start_paused = true)]
async fn tokio_4430_7222_a_panic_is_not_swallowed_wherever_it_comes_from() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    async fn text<F: Future>(future: F) -> &'static str {
        let payload = AssertUnwindSafe(future).catch_unwind().await.err().unwrap();
        payload.downcast_ref::<&str>().unwrap()
    }
    let ready = async |n: u32| Ok::<_, ()>(n);
    let items = (0..10).inspect(|n| {
        if *n == 5 {
            std::panic::panic_any("in the iterator")
        }
    });
    assert_eq!(text(map(items, 3, ready).into_future()).await, "in the iterator");
    let items = stream::poll_fn(|_| -> Poll<Option<u32>> { panic!("in the stream") });
    assert_eq!(text(map_stream(items, 3, ready).into_future()).await, "in the stream");
    let closure = |_: u32| -> std::future::Ready<Result<(), ()>> { panic!("in the closure") };
    assert_eq!(text(map(0..10, 3, closure).into_future()).await, "in the closure");
    let dropped = |_: u32| {
        let bomb = Bomb;
        // Kept by the future until it is dropped, since an `async` block ends its variables itself.
        poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready(Ok::<_, ()>(()))
        })
    };
    assert_eq!(text(map(0..1, 3, dropped).into_future()).await, "in drop");
}

#[tokio::test(start_paused = true)]
async fn futures_rs_2387_what_is_in_flight_goes_on_while_the_body_runs() {
    let permits = Semaphore::new(1).unwrap();
    let shared = permits.clone();
    let work = move |n: u32| {
        let permits = shared.clone();
        async move {
            let _permit = permits.acquire().await;
            sleep(SECOND).await;
            Ok::<_, ()>(n)
        }
    };
    let mut results = map(0..10, 4, work).unordered().unwrap();
    let mut seen = vec![];
    while let Some(result) = results.next().await {
        // With what stays in one task this waits for ever: the permit is with a future nobody polls.
        let _permit = permits.acquire().await;
        seen.push(result.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn results_come_as_they_come_and_errors_end_nothing() {
    let work = async |n: u32| {
        sleep(n * SECOND).await;
        if n == 2 { Err(n) } else { Ok(n) }
    };
    let results: Vec<_> = map([3, 1, 2, 5, 4], 5, work).unordered().unwrap().collect().await;
    assert_eq!(results, [Ok(1), Err(2), Ok(3), Ok(4), Ok(5)]);
}

#[tokio::test(start_paused = true)]
async fn results_that_nobody_takes_stop_the_lanes() {
    for limit in [1, 2, 8] {
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&begun);
        let work = move |n: usize| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move {
                if n.is_multiple_of(3) {
                    yield_now().await;
                }
                Ok::<_, ()>(n)
            }
        };
        let mut results = map(0..1_000, limit, work).unordered().unwrap();
        let mut seen = vec![];
        while let Some(result) = results.next().await {
            seen.push(result.unwrap());
            if seen.len() % 10 == 0 {
                sleep(SECOND).await;
            }
            let ahead = begun.load(Ordering::SeqCst) - seen.len();
            assert!(ahead <= 2 * limit, "{ahead} at {}", seen.len());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_quorum_ends_the_rest() {
    let alive = Alive::default();
    let seen = alive.clone();
    let read = move |n: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            sleep((5 - n) * SECOND).await;
            if n == 4 { Err("down") } else { Ok(n) }
        }
    };
    assert_eq!(map(0..5, 5, read.clone()).quorum(3).await, Ok(vec![3, 2, 1]));
    assert_eq!(alive.count(), 0);
    assert_eq!(map(0..5, 5, read.clone()).first_success().await, Ok(3));
    assert_eq!(alive.count(), 0);
    assert!(matches!(map(0..5, 5, read.clone()).quorum(6).await, Err(Error::Invalid(_))));
    assert!(matches!(map(0..5, 5, read.clone()).quorum(0).await, Err(Error::Invalid(_))));
    let unknown = stream::iter(0..5).filter(|_| std::future::ready(true)).map(|n| n);
    let unsized_items = unknown.chain(stream::poll_fn(|_| Poll::Ready(None)));
    assert!(matches!(map_stream(unsized_items, 5, read).quorum(6).await, Err(Error::Invalid(_))));
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_out_of_reach_is_told_at_once_with_every_error() {
    let begun = Instant::now();
    let read = async |n: u32| {
        sleep(n * SECOND).await;
        if n < 3 { Err(n) } else { Ok(n) }
    };
    let missed = map(0..5, 5, read).quorum(3).await;
    assert_eq!(missed, Err(Error::OutOfReach { wanted: 3, succeeded: 0, errors: vec![0, 1, 2] }));
    assert_eq!(begun.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn children_inherit_the_scope() {
    let work = async |_| {
        Ok::<_, ()>((scope::current().label_value("tenant").map(str::to_owned), scope::current().remaining()))
    };
    let map = async { map(0..2, 2, work).await };
    let seen = Scope::new().label("tenant", "acme").deadline_in(SECOND).run(map).await.unwrap().unwrap();
    assert_eq!(seen, vec![(Some("acme".to_owned()), Some(SECOND)); 2]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_scope_ends_what_is_in_flight() {
    let alive = Alive::default();
    let seen = alive.clone();
    let work = move |_: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            pending::<Result<(), ()>>().await
        }
    };
    let ended = Scope::new().deadline_in(SECOND).run(map(0..9, 3, work).into_future()).await;
    assert_eq!((ended, alive.most()), (Err(scope::Ended::DeadlinePassed), 3));
    sleep(SECOND).await;
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_named_map_is_seen_while_it_runs() {
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "map-test-seen");
    let work = async |n: u32| {
        sleep(SECOND).await;
        if n == 0 { Err(n) } else { Ok(n) }
    };
    {
        let mut run = pin!(map(0..10, 4, work).collect_all().name("map-test-seen").into_future());
        assert!(tokio::time::timeout(SECOND + SECOND / 2, &mut run).await.is_err());
        let now = seen().unwrap();
        assert_eq!((now.limit, now.in_use, now.high_water, now.admitted), (4, 4, 4, 8));
        assert_eq!(now.details, [("failed", 1)]);
        run.await.unwrap();
    }
    sleep(SECOND).await;
    assert!(seen().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_million_items_take_no_more_memory_than_the_limit() {
    let alive = Alive::default();
    let seen = alive.clone();
    let work = move |n: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            if n.is_multiple_of(1_000) {
                yield_now().await;
            }
            Ok::<_, ()>(())
        }
    };
    each(0..1_000_000, 64, work).await.unwrap();
    assert_eq!(size_of::<<<Each as Policy<(), ()>>::Ledger as Ledger>::Kept>(), 0, "nothing per item");
    assert!(alive.most() <= 64 && alive.count() == 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_every_point_leaves_nothing_behind() {
    for polls in 0..40 {
        let alive = Alive::default();
        for kind in 0..4 {
            let seen = alive.clone();
            let work = move |n: usize| {
                let life = seen.begin();
                async move {
                    let _life = life;
                    for _ in 0..n % 5 {
                        yield_now().await;
                    }
                    Ok::<_, ()>(n)
                }
            };
            let mut run: Pin<Box<dyn Future<Output = ()>>> = match kind {
                0 => Box::pin(map(0..30, 3, work).into_future().map(drop)),
                1 => Box::pin(map_stream(stream::iter(0..30), 3, work).each().into_future().map(drop)),
                2 => Box::pin(map(0..30, 3, work).quorum(20).into_future().map(drop)),
                _ => Box::pin(map(0..30, 3, work).unordered().unwrap().for_each(|_| yield_now())),
            };
            for _ in 0..polls {
                if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await {
                    break;
                }
                yield_now().await;
            }
            drop(run);
        }
        sleep(SECOND).await;
        assert_eq!(alive.count(), 0, "after {polls} polls");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_the_limit_is_kept_and_nothing_is_lost() {
    let alive = Alive::default();
    let seen = alive.clone();
    let work = move |n: u32| {
        let life = seen.begin();
        async move {
            let _life = life;
            for _ in 0..n % 3 {
                yield_now().await;
            }
            Ok::<_, u32>(n)
        }
    };
    assert_eq!(map(0..3_000, 7, work.clone()).await, Ok((0..3_000).collect()));
    assert_eq!(map_stream(stream::iter(0..3_000), 7, work.clone()).await, Ok((0..3_000).collect()));
    let mut results: Vec<_> =
        map(0..3_000, 7, work.clone()).unordered().unwrap().map(Result::unwrap).collect().await;
    results.sort_unstable();
    assert_eq!(results, (0..3_000).collect::<Vec<_>>());
    for round in 0..50 {
        let failing = {
            let work = work.clone();
            move |n| {
                let work = work(n);
                async move { if n == round * 7 { Err(n) } else { work.await } }
            }
        };
        let failed = map(0..1_000, 7, failing).await.unwrap_err().into_first();
        assert_eq!((failed, alive.count()), (Some(round * 7), 0), "nothing survives the call");
    }
    assert!(alive.most() <= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_that_never_wait_spread_over_the_workers() {
    let inside = Arc::new(AtomicUsize::new(0));
    let work = move |n: u32| {
        let inside = Arc::clone(&inside);
        async move {
            let begun = clock::now();
            while n < 8 && clock::now() - begun < Duration::from_micros(100) {
                std::hint::spin_loop();
            }
            // By now there is another lane; with one alone this would never end.
            inside.fetch_add(usize::from(n >= 8), Ordering::SeqCst);
            while n >= 8 && inside.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            Ok::<_, ()>(())
        }
    };
    each(0..16, 2, work).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_item_that_is_dropped_because_it_was_aborted_is_not_swallowed() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("while aborted");
        }
    }
    let work = async |n: u32| {
        let _bomb = (n == 0).then_some(Bomb);
        sleep((3 - n) * SECOND).await;
        Err::<(), _>(n)
    };
    let payload = AssertUnwindSafe(map(0..2, 2, work).into_future()).catch_unwind().await.unwrap_err();
    assert_eq!(panic_text(&*payload), "while aborted");
}

#[tokio::test(start_paused = true)]
async fn tokio_4430_dropping_a_map_does_not_swallow_a_panic_that_has_happened() {
    let mut results =
        map(0..2, 2, async |_: u32| -> Result<(), ()> { panic!("tokio 4430") }).unordered().unwrap();
    assert!(results.next().now_or_never().is_none());
    sleep(SECOND).await;
    let payload = std::panic::catch_unwind(AssertUnwindSafe(|| drop(results))).unwrap_err();
    assert_eq!(panic_text(&*payload), "tokio 4430");
}

/// As for a crawl, over a stream that gives the next pair only when the one before has met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_wait_for_each_other_always_find_two_lanes() {
    for round in 0..10 {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
        let barrier = Arc::new(Barrier::new(2));
        let work = move |pair: u32| {
            let (sender, barrier) = (sender.clone(), Arc::clone(&barrier));
            async move {
                let is_leader = barrier.wait().await.is_leader();
                for _ in 0..(pair + round) % 3 {
                    yield_now().await;
                }
                if is_leader && pair < 300 {
                    sender.send(pair + 1).await.unwrap();
                    sender.send(pair + 1).await.unwrap();
                }
                if pair == 300 { Err(pair) } else { Ok(()) }
            }
        };
        let later = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let pairs = stream::iter([0, 0]).chain(later);
        assert_eq!(map_stream(pairs, 2, work).each().await.unwrap_err().into_first(), Some(300));
    }
}

/// A stream that is pending as often as it was told before each item.
fn halting(pauses: Vec<u8>) -> impl Stream<Item = usize> {
    let mut left = pauses.into_iter().enumerate();
    let mut now = left.next();
    stream::poll_fn(move |cx: &mut Context<'_>| match &mut now {
        None => Poll::Ready(None),
        Some((_, pauses)) if *pauses > 0 => {
            *pauses -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Some((item, _)) => {
            let item = *item;
            now = left.next();
            Poll::Ready(Some(item))
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_waits_every_item_is_done_once_and_in_order(
        pauses in proptest::collection::vec((0..3u8, 0..4u8), 0..60),
        limit in 1..9usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (before, within): (Vec<_>, Vec<_>) = pauses.iter().copied().unzip();
        let alive = Alive::default();
        let seen = alive.clone();
        let work = move |n: usize| {
            let life = seen.begin();
            let pauses = within[n];
            async move {
                let _life = life;
                for _ in 0..pauses {
                    yield_now().await;
                }
                Ok::<_, ()>(n)
            }
        };
        let all: Vec<_> = (0..pauses.len()).collect();
        runtime.block_on(async {
            prop_assert_eq!(map(0..pauses.len(), limit, work.clone()).await, Ok(all.clone()));
            prop_assert_eq!(map_stream(halting(before.clone()), limit, work.clone()).await, Ok(all.clone()));
            let mut results: Vec<_> =
                map_stream(halting(before), limit, work).unordered().unwrap().map(Result::unwrap).collect().await;
            results.sort_unstable();
            prop_assert_eq!(results, all);
            prop_assert!(alive.most() <= limit && alive.count() == 0);
            Ok(())
        })?;
    }
}

#[test]
#[should_panic(expected = "no reactor running")]
fn outside_of_a_runtime_it_panics() {
    let mut run = map(0..3, 1, async |n: u32| Ok::<_, ()>(n)).into_future();
    let _ = Pin::new(&mut run).poll(&mut Context::from_waker(Waker::noop()));
}

/// The compiler shows the line of a bound that is not met; what follows the bound there says what to do.
#[test]
fn every_bound_that_forbids_borrowing_names_the_way_out() {
    let functions = include_str!("../handle.rs").split("impl<S, F> Map<S, F> {").next().unwrap();
    let bounds: Vec<_> =
        functions.lines().filter(|line| line.contains("'static") && !line.contains("///")).collect();
    assert!(bounds.len() >= 13, "{bounds:?}");
    for bound in bounds {
        assert!(bound.contains("// to borrow, use `map_local") || bound.contains("// it owns"), "{bound}");
    }
}

#[test]
fn a_map_whose_runtime_is_shut_down_does_not_return_what_it_had_as_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut run = Box::pin(
        map(0..3, 3, async |n: u32| {
            if n == 1 {
                pending::<()>().await;
            }
            Ok::<_, ()>(n)
        })
        .into_future(),
    );
    {
        let _entered = runtime.enter();
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(runtime);
    let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
        run.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    let payload = polled.expect_err("some items never ended");
    assert!(panic_text(&*payload).contains("runtime"), "{}", panic_text(&*payload));
}
