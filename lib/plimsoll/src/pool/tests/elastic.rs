//! How many workers there are: the state machine by properties, the pool under paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::sleep;

use super::super::elastic::Elastic;
use super::{detail, settle};
use crate::clock::Instant;
use crate::group::Group;
use crate::pool::{Pool, Worker};

const SECOND: Duration = Duration::from_secs(1);
const DWELL: Duration = Duration::from_secs(5);

/// Drives the machine through loads, each a wish of busy workers for so long, as the pool does:
/// told of every change, and asked when it said that it wants to be. Returns when it changed to how
/// many.
fn drive(min: usize, max: usize, loads: &[(usize, Duration)]) -> Vec<(Duration, usize, usize)> {
    let mut elastic = Elastic::new(min, max, DWELL);
    let (mut workers, mut now, mut changes) = (min, Duration::ZERO, Vec::new());
    let at = |now: Duration| Instant::from_nanos(u64::try_from(now.as_nanos()).unwrap());
    for (wish, time) in loads {
        let end = now + *time;
        elastic.observe((*wish).min(workers), workers, || at(now));
        while let Some(next) = elastic.decide_at().filter(|next| *next <= at(end)) {
            now = now.max(Duration::from_nanos(next.as_nanos()));
            let before = workers;
            if let Some(wanted) = elastic.decide(at(now), (*wish).min(workers), workers) {
                workers = wanted;
                elastic.observe((*wish).min(workers), workers, || at(now));
                changes.push((now, before, workers));
            }
        }
        now = end;
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_stays_in_its_range_and_two_changes_are_a_dwell_apart(
        min in 1usize..20, more in 0usize..100,
        loads in prop::collection::vec((0usize..150, 0u64..20_000), 1..60),
    ) {
        let max = min + more;
        let loads: Vec<_> = loads.into_iter().map(|(wish, ms)| (wish, Duration::from_millis(ms))).collect();
        let changes = drive(min, max, &loads);
        for (_, before, after) in &changes {
            prop_assert!((min..=max).contains(after));
            prop_assert_ne!(before, after, "a change changes something");
        }
        for pair in changes.windows(2) {
            prop_assert!(pair[1].0 - pair[0].0 >= DWELL, "{:?}", changes);
        }
    }

    #[test]
    fn a_square_wave_faster_than_the_dwell_changes_nothing(
        min in 1usize..20, more in 1usize..100, high in 1u64..5_000, low in 1u64..5_000,
    ) {
        let wave = [(1_000, Duration::from_millis(high)), (0, Duration::from_millis(low))];
        // Both halves are shorter than the dwell: no share holds for long enough.
        prop_assert_eq!(drive(min, min + more, &wave.repeat(50)), []);
    }

    #[test]
    fn a_steady_load_is_followed_once_and_then_left_alone(
        min in 1usize..10, more in 0usize..500, wish in 0usize..600,
    ) {
        let max = min + more;
        let long = [(wish, Duration::from_secs(3_600))];
        let changes = drive(min, max, &long);
        prop_assert!(changes.windows(2).all(|pair| pair[0].2 == pair[1].1 && pair[1].1 < pair[1].2));
        let workers = changes.last().map_or(min, |(_, _, workers)| *workers);
        prop_assert!(workers == max || wish.min(workers) * 100 < workers * 80, "it is not starved");
        prop_assert!(changes.iter().all(|(at, ..)| *at <= Duration::from_secs(60)), "it has settled");
    }
}

#[test]
fn a_load_that_swings_about_a_threshold_with_every_job_wakes_the_clockwork_once() {
    let mut elastic = Elastic::new(1, 8, DWELL);
    let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
    let wakes = |elastic: &mut Elastic| {
        let swing = (0..100).map(|n| elastic.observe(3 + n % 2, 4, || at(1)));
        swing.filter(|wakes| *wakes).count()
    };
    assert_eq!(wakes(&mut elastic), 1);
    assert_eq!(elastic.decide(at(2), 4, 4), None, "not yet, but it will be looked at");
    assert_eq!(wakes(&mut elastic), 0);
    assert_eq!(elastic.decide(at(3), 2, 4), None, "nothing to look at");
    assert_eq!(wakes(&mut elastic), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_pool_grows_and_an_idle_one_shrinks_after_a_dwell() {
    let job = |seconds: u32| sleep(seconds * SECOND);
    let pool = Pool::builder("pool-elastic", job).workers_between(1, 8).dwell(DWELL).queue(100);
    let pool = pool.build().unwrap();
    for _ in 0..40 {
        drop(pool.submit(4).await.unwrap());
    }
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push((pool.workers(), detail(&pool, "workers")));
        sleep(SECOND).await;
    }
    seen.dedup();
    assert_eq!(seen, [1, 2, 4, 8, 4, 2, 1].map(|workers| (workers, workers as u64)));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_swings_faster_than_the_dwell_moves_no_worker() {
    let job = |()| sleep(2 * SECOND);
    let pool = Pool::builder("pool-elastic-wave", job).workers_between(2, 8).dwell(DWELL).queue(100);
    let pool = pool.build().unwrap();
    for _ in 0..20 {
        drop((pool.try_submit(()).unwrap(), pool.try_submit(()).unwrap()));
        for _ in 0..4 {
            sleep(SECOND).await;
            assert_eq!((pool.workers(), detail(&pool, "workers")), (2, 2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resizing_changes_how_many_run_at_once_and_drops_no_job() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let job = move |()| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let pool = Pool::builder("pool-resize", job).workers(2).queue(1_000).build().unwrap();
    let mut tickets: Vec<_> = (0..200).map(|_| pool.try_submit(()).unwrap()).collect();
    for workers in [2, 10, 3, 7, 1] {
        pool.resize(workers).unwrap();
        sleep(SECOND + SECOND / 2).await; // those that were too many have ended their job
        most.store(0, Ordering::SeqCst);
        sleep(2 * SECOND).await;
        assert_eq!((most.load(Ordering::SeqCst), detail(&pool, "workers")), (workers, workers as u64));
    }
    pool.resize(50).unwrap();
    for ticket in tickets.drain(..) {
        ticket.await.unwrap();
    }
    settle().await;
    pool.resize(1).unwrap();
    settle().await;
    assert_eq!(detail(&pool, "workers"), 1, "idle workers go at once");
    assert_eq!(pool.resize(0).unwrap_err().field(), "resize");
    assert_eq!(pool.resize(10_001).unwrap_err().field(), "resize");
    assert!(pool.drain(SECOND).await.is_empty());
    pool.resize(9).unwrap();
    assert_eq!(detail(&pool, "workers"), 0, "what was drained starts no workers");
}

#[tokio::test(start_paused = true)]
async fn an_elastic_pool_is_resized_within_its_range_only() {
    let pool = Pool::builder("pool-resize-range", |()| sleep(SECOND)).workers_between(2, 4).queue(8);
    let pool = pool.build().unwrap();
    assert_eq!(pool.workers(), 2);
    assert_eq!(pool.resize(1).unwrap_err().value(), "1");
    assert!(pool.resize(5).is_err());
    pool.resize(4).unwrap();
    assert_eq!(pool.workers(), 4);
    sleep(6 * SECOND).await;
    assert_eq!(pool.workers(), 2, "nobody is busy: it goes on from there");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_goes_drops_its_state_and_a_new_one_makes_its_own() {
    struct Keeps(#[expect(dead_code, reason = "counted by its references")] Arc<()>);
    impl Worker<()> for Keeps {
        type Output = ();
        async fn run(&mut self, (): ()) {
            sleep(SECOND).await;
        }
    }
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let pool = Pool::builder_with("pool-resize-state", move || Keeps(Arc::clone(&held))).workers(4).queue(64);
    let pool = pool.build().unwrap();
    let all = async || {
        let tickets: Vec<_> = (0..8).map(|_| pool.try_submit(()).unwrap()).collect();
        for ticket in tickets {
            ticket.await.unwrap();
        }
        settle().await;
    };
    all().await;
    assert_eq!(Arc::strong_count(&alive), 2 + 4);
    pool.resize(1).unwrap();
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 2 + 1);
    pool.resize(3).unwrap();
    all().await;
    assert_eq!(Arc::strong_count(&alive), 2 + 3);
    drop(pool);
    settle().await;
    // Another test's snapshot of the registry may hold the pool for a moment.
    for _ in 0..10_000 {
        if Arc::strong_count(&alive) == 1 {
            return;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    panic!("the states outlived the pool: {}", Arc::strong_count(&alive));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resizing_on_many_threads_loses_no_job_and_no_worker() {
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let job = move |n: usize| {
        let count = Arc::clone(&count);
        async move {
            if n.is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    let pool = Pool::builder("pool-resize-many", job).workers(2).queue(8).build().unwrap();
    let mut group = Group::new(3).unwrap();
    for _ in 0..2 {
        let pool = pool.clone();
        group
            .spawn(async move {
                for n in 0..1_000 {
                    pool.submit(n).await.unwrap().await.unwrap();
                }
            })
            .await;
    }
    let resized = pool.clone();
    group
        .spawn(async move {
            for n in 0..200 {
                resized.resize(1 + n * 7 % 13).unwrap();
                tokio::task::yield_now().await;
            }
            resized.resize(5).unwrap();
        })
        .await;
    group.join().await.unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 2_000);
    while detail(&pool, "workers") != 5 {
        tokio::task::yield_now().await;
    }
    assert!(pool.drain(60 * SECOND).await.is_empty());
}
