use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::registry;
use crate::scope::{self, Ended, Scope};

type Text = &'static str;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets every other task run for as long as it has something to do.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn paused<F: Future>(test: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

#[test]
fn golang_27837_futures_2939_zero_and_too_much_are_refused_by_name() {
    let items = || Pipeline::builder("pipeline-zero").items::<_, Text>(0..3);
    let refused = |stages: Stages<u32, Text>| stages.build().unwrap_err().to_string();
    let stage = |name: &str, workers| items().stage(name, workers, |n: u32| async move { Ok(n) });
    assert_eq!(refused(stage("work", 0)), "pipeline-zero: workers is 0, allowed is 1 to 10,000");
    assert!(refused(stage("work", 10_001)).contains("workers is 10001"));
    for taken in ["source", "output"] {
        assert!(
            refused(stage(taken, 1)).contains(&format!("stage is {taken}, allowed is a name that no other"))
        );
    }
    assert!(refused(stage("", 1)).contains("name"));
    let twice = stage("work", 1).stage("work", 1, |n| async move { Ok(n) });
    assert!(refused(twice).contains("stage is work"));
    let batch = |count, age| items().batch(count, age).build().unwrap_err().to_string();
    assert_eq!(batch(0, millis(5)), "pipeline-zero: batch count is 0, allowed is 1 to 1,048,576");
    assert_eq!(batch(5, Duration::ZERO), "pipeline-zero: batch age is 0ns, allowed is 1 ms to a day");
    assert!(batch(5, Duration::MAX).contains("batch age"));
    for queue in [0, 65_537] {
        let stages = Pipeline::builder("pipeline-zero").queue(queue).items::<_, Text>(0..3);
        assert!(refused(stages).contains(&format!("queue is {queue}, allowed is 1 to 65,536")));
    }
    assert!(Pipeline::builder("").items::<_, Text>(0..3).build().is_err());
    assert!(items().batch(2, millis(1)).batch(2, millis(1)).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_source_is_not_asked_for_an_item_that_there_is_no_room_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = {
        let asked = Arc::clone(&asked);
        stream::repeat_with(move || asked.fetch_add(1, Ordering::Relaxed))
    };
    let pipeline = Pipeline::builder("pipeline-pressure")
        .queue(3)
        .source(source)
        .stage("work", 2, |n| async move { Ok::<_, Text>(n) })
        .build()
        .unwrap();
    let mut running = pipeline.start();
    settle().await;
    // Three before the stage, two in it, three behind it.
    assert_eq!(asked.load(Ordering::Relaxed), 8);
    running.next().await.unwrap().unwrap();
    settle().await;
    assert_eq!(asked.load(Ordering::Relaxed), 9);
    let snapshot = running.report();
    assert_eq!((snapshot.stages[0].items_out, snapshot.stages[2].items_in), (9, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_error_names_its_stage_and_nothing_is_left_running() {
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let pipeline = Pipeline::builder("pipeline-error")
        .items(0..)
        .stage("fetch", 4, |n: u32| async move { Ok(n) })
        .stage("check", 3, move |n| {
            let held = Arc::clone(&inside);
            async move {
                sleep(if n == 5 { millis(10) } else { Duration::from_secs(3_600) }).await;
                drop(held);
                if n == 2 { Ok(n) } else { Err("bad row") }
            }
        })
        .stage("store", 1, |_| async move {
            sleep(millis(1)).await;
            Err::<(), _>("never reached")
        })
        .build()
        .unwrap();
    let before = alive();
    let error = pipeline.run().await.unwrap_err();
    assert_eq!(error.to_string(), "stage check failed: bad row");
    assert_eq!(error.into_failure(), Some("bad row"));
    assert_eq!((alive(), Arc::strong_count(&held)), (before, 1));
}

#[tokio::test]
async fn golang_53757_74275_a_panic_is_resumed_after_every_stage_has_ended() {
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let pipeline = Pipeline::builder("pipeline-panic")
        .items(0..)
        .stage("work", 3, move |n: u32| {
            let held = Arc::clone(&inside);
            async move {
                tokio::task::yield_now().await;
                assert!(n != 40, "row {n} is broken");
                drop(held);
                Ok::<_, Text>(n)
            }
        })
        .build()
        .unwrap();
    let payload = AssertUnwindSafe(pipeline.run()).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "row 40 is broken");
    assert_eq!((alive(), Arc::strong_count(&held)), (0, 1));
}

#[tokio::test]
async fn tokio_4430_7222_a_panic_that_nobody_waited_for_is_resumed_when_the_pipeline_is_dropped() {
    let pipeline = Pipeline::builder("pipeline-dropped-panic")
        .items(0..3)
        .stage("work", 1, |_| async { panic!("lost") as Result<(), Text> })
        .build()
        .unwrap();
    let running = pipeline.start();
    settle().await;
    let payload = std::panic::catch_unwind(AssertUnwindSafe(|| drop(running))).unwrap_err();
    assert_eq!(payload.downcast_ref::<Text>(), Some(&"lost"));
}

#[tokio::test(start_paused = true)]
async fn an_error_goes_to_the_dead_letters_and_the_others_go_on_in_order() {
    let (dead, mut letters) = mpsc::channel(1);
    let pipeline = Pipeline::builder("pipeline-dead")
        .ordered()
        .try_source(stream::iter((0..20).map(|n| if n == 3 { Err(1_003) } else { Ok(n) })))
        .stage("thirds", 4, |n: u32| async move {
            sleep(millis(u64::from(20 - n))).await;
            if n.is_multiple_of(3) { Err(n) } else { Ok(n) }
        })
        .dead_letters(dead)
        .build()
        .unwrap();
    let monitor = pipeline.monitor();
    let (out, letters) = tokio::join!(pipeline.collect(), async {
        let mut all = Vec::new();
        while let Some(letter) = letters.recv().await {
            sleep(millis(50)).await;
            all.push((letter.stage.as_str(), letter.error));
        }
        all.sort_unstable();
        all
    });
    assert_eq!(out.unwrap(), (0..20).filter(|n| n % 3 != 0).collect::<Vec<_>>());
    let thirds = [0, 6, 9, 12, 15, 18].map(|n| ("thirds", n));
    assert_eq!(letters, [&[("source", 1_003)][..], &thirds].concat());
    let report = monitor.report();
    assert_eq!((report.stage("source").unwrap().failed, report.stage("thirds").unwrap().failed), (1, 6));
}

#[tokio::test]
async fn an_error_that_nobody_receives_any_more_stops_the_pipeline() {
    let (dead, letters) = mpsc::channel(1);
    drop(letters);
    let pipeline = Pipeline::builder("pipeline-dead-gone")
        .items(0..)
        .stage("work", 2, |n: u32| async move { if n == 7 { Err("seven") } else { Ok(n) } })
        .dead_letters(dead)
        .build()
        .unwrap();
    assert_eq!(pipeline.run().await.unwrap_err().into_failure(), Some("seven"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_stops_the_pipeline_under_its_own_name() {
    let source = stream::iter([Ok(1), Err("disk gone"), Ok(3)]);
    let pipeline = Pipeline::builder("pipeline-source-error").try_source(source).build().unwrap();
    let mut running = pipeline.start();
    let mut ended = None;
    while let Some(item) = running.next().await {
        ended = item.err();
    }
    assert_eq!(ended.unwrap().to_string(), "stage source failed: disk gone");
    assert!(running.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_at_every_await_leaves_no_task_and_no_item_behind() {
    let items = Arc::new(());
    for polls in 0..60 {
        let item = Arc::clone(&items);
        let pipeline = Pipeline::builder("pipeline-drop")
            .ordered()
            .queue(2)
            .items((0..9).map(move |n| (n, Arc::clone(&item))))
            .stage("first", 3, |(n, item)| async move {
                sleep(millis(n % 4)).await;
                Ok::<_, Text>(item)
            })
            .batch(2, millis(3))
            .stage("second", 2, |batch| async move {
                tokio::task::yield_now().await;
                Ok(batch)
            })
            .build()
            .unwrap();
        let mut run = pipeline.collect().boxed();
        let mut is_done = false;
        for _ in 0..polls {
            if (&mut run).now_or_never().is_some() {
                is_done = true;
                break;
            }
            tokio::time::advance(millis(u64::from(polls % 3 == 0))).await;
        }
        if !is_done {
            drop(run);
        }
        settle().await;
        assert_eq!((alive(), Arc::strong_count(&items)), (0, 1), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_wait_for_the_next_result_loses_none() {
    let pipeline = Pipeline::builder("pipeline-next")
        .ordered()
        .items(0..20)
        .stage("slow", 2, |n: u64| async move {
            sleep(millis(n % 5)).await;
            Ok::<_, Text>(n)
        })
        .build()
        .unwrap();
    let mut running = pipeline.start();
    let mut got = Vec::new();
    loop {
        match timeout(Duration::from_micros(300), running.next()).await {
            Ok(Some(item)) => got.push(item.unwrap()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(got, (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn stages_inherit_the_scope_and_end_with_it() {
    let label = || scope::current().label_value("tenant").map(str::to_owned);
    let pipeline = Pipeline::builder("pipeline-scope")
        .source(stream::repeat_with(label))
        .stage("work", 2, move |from_source| async move {
            sleep(millis(40)).await;
            Ok::<_, Text>((from_source, label()))
        })
        .build()
        .unwrap();
    let started = Scope::new().label("tenant", "acme").deadline_in(millis(100));
    let mut running = started.run(async { pipeline.start() }).await.unwrap();
    let acme = || Some("acme".to_owned());
    for _ in 0..4 {
        assert_eq!(running.next().await.unwrap().unwrap(), (acme(), acme()));
    }
    assert_eq!(running.next().await, Some(Err(Error::ScopeEnded(Ended::DeadlinePassed))));
    assert_eq!((running.next().await, alive()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn futures_2387_stages_go_on_while_nobody_polls_the_results() {
    let pipeline = Pipeline::builder("pipeline-busy-consumer")
        .items(0..12)
        .stage("call", 4, |n: u32| async move {
            // It would time out if nobody polled it while the consumer sleeps.
            timeout(millis(100), sleep(millis(50))).await.map(|()| n).map_err(|_| "timed out")
        })
        .build()
        .unwrap();
    let mut running = pipeline.start();
    let mut count = 0;
    while let Some(item) = running.next().await {
        item.unwrap();
        count += 1;
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(count, 12);
}

#[tokio::test]
async fn a_run_drops_each_item_as_it_comes_and_counts_it_at_the_output() {
    let item = Arc::new(());
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, given) = (Arc::clone(&most), Arc::clone(&item));
    let pipeline = Pipeline::builder("pipeline-run-drops")
        .ordered()
        .queue(2)
        .items((0..500).map(move |_| Arc::clone(&given)))
        .stage("work", 2, move |item| {
            seen.fetch_max(Arc::strong_count(&item), Ordering::Relaxed);
            async { Ok::<_, Text>(item) }
        })
        .build()
        .unwrap();
    let report = pipeline.run().await.unwrap();
    let output = report.stage("output").unwrap();
    assert_eq!((output.items_in, output.items_out, output.busy), (500, 0, Duration::ZERO));
    // Those in the two queues and the workers, the source's own, and this one.
    assert!(most.load(Ordering::Relaxed) <= 2 + 2 + 2 + 3, "{most:?}");
    assert_eq!(Arc::strong_count(&item), 1);
}

#[tokio::test]
async fn a_panic_of_an_item_that_the_run_drops_is_resumed() {
    struct Fragile(u32);
    impl Drop for Fragile {
        fn drop(&mut self) {
            assert!(self.0 != 3, "it broke");
        }
    }
    let pipeline = Pipeline::builder("pipeline-run-fragile")
        .items(0..5)
        .stage("work", 1, |n| async move { Ok::<_, Text>(Fragile(n)) })
        .build()
        .unwrap();
    let payload = AssertUnwindSafe(pipeline.run()).catch_unwind().await.unwrap_err();
    assert_eq!(payload.downcast_ref::<Text>(), Some(&"it broke"));
    assert_eq!(alive(), 0);
}

#[tokio::test]
async fn an_endless_pipeline_that_never_waits_lets_other_tasks_run() {
    let endless = Pipeline::builder("pipeline-endless")
        .items(0..)
        .stage("work", 1, |n: u64| async move { Ok::<_, Text>(n) })
        .build()
        .unwrap();
    tokio::select! {
        _ = endless.run() => unreachable!("it has no end"),
        () = settle() => {}
    }
}

/// A pipeline of three stages, a source and a consumer that take so many milliseconds for an item.
async fn timed(source: u64, stages: [u64; 3], consumer: u64) -> Report {
    let pipeline = Pipeline::builder("pipeline-bottleneck")
        .queue(2)
        .source(stream::iter(0..60u32).then(move |n| sleep(millis(source)).map(move |()| n)))
        .stage("first", 1, move |n| sleep(millis(stages[0])).map(move |()| Ok::<_, Text>(n)))
        .stage("second", 1, move |n| sleep(millis(stages[1])).map(move |()| Ok(n)))
        .stage("third", 2, move |n| sleep(millis(stages[2])).map(move |()| Ok(n)))
        .build()
        .unwrap();
    let mut running = pipeline.start();
    while let Some(item) = running.next().await {
        item.unwrap();
        sleep(millis(consumer)).await;
    }
    running.report()
}

#[tokio::test(start_paused = true)]
async fn a_source_that_gave_all_it_had_at_once_is_not_the_bottleneck_of_a_short_run() {
    let pipeline = Pipeline::builder("pipeline-short")
        .items(0..4)
        .stage("slow", 1, |item: u32| async move {
            sleep(Duration::from_millis(20)).await;
            Ok::<_, ()>(item)
        })
        .build()
        .unwrap();
    let monitor = pipeline.monitor();
    pipeline.run().await.unwrap();
    assert_eq!(monitor.report().bottleneck().unwrap().name.as_str(), "slow", "{}", monitor.report());
}

#[tokio::test(start_paused = true)]
async fn the_bottleneck_is_named_with_the_stage_before_it_blocked_and_the_one_after_it_starved() {
    for (at, name) in ["source", "first", "second", "third", "output"].into_iter().enumerate() {
        let mut took = [2; 5];
        // The third stage has two workers, and so needs twice the time to be as slow.
        took[at] = if name == "third" { 40 } else { 20 };
        let report = timed(took[0], [took[1], took[2], took[3]], took[4]).await;
        let bottleneck = report.bottleneck().unwrap();
        assert_eq!(bottleneck.name.as_str(), name, "{report}");
        assert!(bottleneck.busy_ratio() > 0.85, "{report}");
        if at > 0 {
            assert!(report.stages[at - 1].blocked_ratio() > 0.6, "{name}: {report}");
        }
        if at < 4 {
            assert!(report.stages[at + 1].starved_ratio() > 0.6, "{name}: {report}");
        }
        assert!(report.to_string().ends_with(&format!("bottleneck: {name}")));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_seen_in_the_registry_with_its_workers_queues_and_stages() {
    let pipeline = Pipeline::builder("pipeline-registered")
        .queue(4)
        .items(0..100)
        .stage("slow", 3, |n: u32| sleep(millis(10)).map(move |()| Ok::<_, Text>(n)))
        .build()
        .unwrap();
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "pipeline-registered");
    let monitor = pipeline.monitor();
    let mut running = pipeline.start();
    sleep(millis(5)).await;
    let snapshot = seen().unwrap();
    assert_eq!(snapshot, monitor.snapshot());
    assert_eq!((snapshot.limit, snapshot.in_use, snapshot.waiting, snapshot.admitted), (3, 3, 4, 7));
    assert_eq!(snapshot.details[..3], [("failed", 0), ("source", 0), ("slow", 100)]);
    while running.next().await.is_some() {}
    let end = monitor.snapshot();
    assert_eq!((end.in_use, end.high_water, end.waiting, end.admitted), (0, 3, 0, 100));
    assert_eq!(monitor.report().stages[1].items_out, 100);
    drop((running, monitor));
    assert!(seen().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_nothing_is_lost_doubled_or_out_of_order() {
    async fn shuffle(n: u32) -> Result<u32, Text> {
        for _ in 0..n * 7 % 5 {
            tokio::task::yield_now().await;
        }
        Ok(n)
    }
    let stages = |builder: Builder| {
        builder.queue(3).items(0..2_000).stage("one", 8, shuffle).stage("two", 3, shuffle).build().unwrap()
    };
    let ordered = stages(Pipeline::builder("pipeline-threads").ordered()).collect().await.unwrap();
    assert!(ordered.into_iter().eq(0..2_000));
    let mut unordered = stages(Pipeline::builder("pipeline-threads")).collect().await.unwrap();
    unordered.sort_unstable();
    assert!(unordered.into_iter().eq(0..2_000));
}

#[test]
fn what_runs_a_pipeline_can_be_sent() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let build = || send(Pipeline::builder("pipeline-send").items::<_, Text>(0..3).build().unwrap());
    drop(send(build().run()));
    drop(send(build().collect()));
    let sent = std::marker::PhantomData::<Running<u32, Text>>;
    send(sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn order_is_kept_whatever_each_item_takes_and_no_stage_does_more_at_once_than_it_may(
        delays in prop::collection::vec((0u64..20, 0u64..20, any::<bool>()), 0..60),
        workers in (1usize..6, 1usize..6),
        queue in 1usize..5,
    ) {
        let count = delays.len();
        let kept: Vec<_> = (0..count).filter(|n| delays[*n].2).collect();
        let (first, second) = (delays.clone(), delays);
        let inside = Arc::new([const { AtomicUsize::new(0) }; 4]);
        let entered = Arc::clone(&inside);
        let enter = move |stage: usize| {
            let now = entered[stage].fetch_add(1, Ordering::Relaxed) + 1;
            entered[stage + 2].fetch_max(now, Ordering::Relaxed);
        };
        let (left, enter_first) = (Arc::clone(&inside), enter.clone());
        let (left_too, enter_second) = (Arc::clone(&inside), enter);
        let pipeline = Pipeline::builder("pipeline-order")
            .ordered()
            .queue(queue)
            .items(0..count)
            .filter_stage("first", workers.0, move |n| {
                let (delay, _, keep) = first[n];
                enter_first(0);
                let left = Arc::clone(&left);
                async move {
                    sleep(millis(delay)).await;
                    left[0].fetch_sub(1, Ordering::Relaxed);
                    Ok::<_, Text>(keep.then_some(n))
                }
            })
            .stage("second", workers.1, move |n| {
                let delay = second[n].1;
                enter_second(1);
                let left = Arc::clone(&left_too);
                async move {
                    sleep(millis(delay)).await;
                    left[1].fetch_sub(1, Ordering::Relaxed);
                    Ok(n)
                }
            })
            .build()
            .unwrap();
        let out = paused(pipeline.collect());
        prop_assert_eq!(out.unwrap(), kept);
        prop_assert!(inside[2].load(Ordering::Relaxed) <= workers.0);
        prop_assert!(inside[3].load(Ordering::Relaxed) <= workers.1);
    }

    #[test]
    fn a_batch_is_never_larger_than_its_count_nor_older_than_its_age_nor_given_before_either(
        pauses in prop::collection::vec(0u64..12, 1..60),
        count in 1usize..6,
        age in 1u64..20,
    ) {
        let total = pauses.len();
        let given: Vec<(Vec<(usize, Instant)>, Instant)> = paused(async move {
            let came = Arc::new(Mutex::new(Vec::new()));
            let source = stream::iter(pauses.into_iter().enumerate())
                .then(|(n, pause)| sleep(millis(pause)).map(move |()| (n, Instant::now())));
            let keep = Arc::clone(&came);
            let pipeline = Pipeline::builder("pipeline-batches")
                .queue(1_000)
                .source(source)
                .batch(count, millis(age))
                .stage("note", 1, move |batch: Vec<_>| {
                    keep.lock().unwrap().push((batch, Instant::now()));
                    async { Ok::<_, Text>(()) }
                })
                .build()
                .unwrap();
            pipeline.run().await.unwrap();
            Arc::into_inner(came).unwrap().into_inner().unwrap()
        });
        let numbers: Vec<_> = given.iter().flat_map(|(batch, _)| batch).map(|(n, _)| *n).collect();
        prop_assert_eq!(numbers, (0..total).collect::<Vec<_>>());
        for (at, (batch, given_at)) in given.iter().enumerate() {
            let waited = *given_at - batch[0].1;
            prop_assert!(batch.len() <= count);
            prop_assert!(waited <= millis(age), "{:?}", waited);
            let is_last = at + 1 == given.len();
            prop_assert!(batch.len() == count || waited == millis(age) || is_last);
        }
    }
}
