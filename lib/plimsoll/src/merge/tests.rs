use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::waiters::on_drop;
use crate::{Reason, registry};

type Boxed = Pin<Box<dyn Stream<Item = u32> + Send>>;

fn merge<S>(inputs_max: usize) -> Merge<S> {
    Merge::builder("merge-test").inputs_max(inputs_max).build().unwrap()
}

/// Everything that can be had now, over as many yields as it takes.
fn drained<S: Stream + Unpin>(merge: &mut Merge<S>) -> Vec<(InputId, Event<S::Item>)> {
    let mut all = Vec::new();
    let mut yields = 0;
    while yields < 2 {
        match merge.next().now_or_never() {
            Some(Some(event)) => all.push(event),
            Some(None) => break,
            None => yields += 1,
        }
    }
    all
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Item,
    Pause,
    WakeAndPause,
}

/// A stream after a script, which counts how often it is polled.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<ScriptState>>);

#[derive(Default)]
struct ScriptState {
    steps: VecDeque<Step>,
    given: u32,
    polls: usize,
    waker: Option<Waker>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self(Arc::new(Mutex::new(ScriptState { steps, ..ScriptState::default() })))
    }

    fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }

    /// Ends the pause that it is in.
    fn resume(&self) -> bool {
        let waker = self.0.lock().unwrap().waker.take();
        waker.map(Waker::wake).is_some()
    }
}

impl Stream for Script {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        let mut state = self.0.lock().unwrap();
        state.polls += 1;
        match state.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Item) => {
                state.given += 1;
                Poll::Ready(Some(state.given - 1))
            }
            Some(Step::Pause) => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Step::WakeAndPause) => {
                drop(state);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[test]
fn golang_27837_futures_2939_no_inputs_is_refused_not_waited_for() {
    let refused = |inputs| Merge::<Boxed>::builder("merge-zero").inputs_max(inputs).build().unwrap_err();
    assert_eq!(refused(0).to_string(), "merge-zero: inputs_max is 0, allowed is 1 to 1,048,576");
    assert!(refused(1 << 21).to_string().contains("2097152"));
    assert!(Merge::<Boxed>::builder("merge-zero").inputs_max(1 << 20).build().is_ok());
}

#[test]
fn one_input_more_than_there_may_be_is_handed_back_until_another_has_ended() {
    let mut merge = merge(2);
    merge.add(stream::iter(vec![1])).unwrap();
    let second = merge.add(stream::iter(vec![2])).unwrap();
    let Refused { stream, rejected } = merge.handle().add(stream::iter(vec![3])).unwrap_err();
    assert_eq!(
        (rejected.reason(), rejected.to_string()),
        (Reason::Full, "merge-test: 2 of 2 in use, 0 waiting".into())
    );
    assert!(merge.remove(second).is_some());
    let third = merge.add(stream).unwrap();
    assert_ne!(second, third, "an id is used once");
    assert!(merge.remove(second).is_none() && merge.len() == 2);
    assert_eq!(drained(&mut merge).len(), 4);
    let snapshot = merge.snapshot();
    assert_eq!((snapshot.in_use, snapshot.high_water, snapshot.admitted, snapshot.rejected), (0, 2, 3, 1));
    assert_eq!(snapshot.details, [("ready", 0), ("items", 2), ("panicked", 0)]);
}

#[test]
fn ten_thousand_idle_inputs_are_polled_once_however_many_items_the_others_give() {
    let mut merge = merge(10_001);
    let idle: Vec<_> = (0..10_000).map(|_| Script::new([Step::Pause])).collect();
    for input in &idle {
        merge.add(input.clone()).unwrap();
    }
    let mut items = 0;
    let busy = merge.add(Script::new([Step::Item; 1_000])).unwrap();
    loop {
        match merge.next().now_or_never() {
            Some(Some((id, Event::Item(_)))) if id == busy => items += 1,
            Some(Some((id, Event::Ended))) if id == busy => break,
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    assert_eq!(items, 1_000);
    assert!(idle.iter().all(|input| input.polls() == 1));
}

#[test]
fn endless_inputs_take_turns_and_a_late_one_waits_for_one_item_of_each() {
    let mut merge: Merge<Boxed> = merge(4);
    let endless: Vec<_> = (0..3).map(|n| merge.add(stream::repeat(n).boxed()).unwrap()).collect();
    let late = Script::new([Step::Pause, Step::Item]);
    let late_id = merge.add(late.clone().boxed()).unwrap();
    let mut order: Vec<_> = (0..60).filter_map(|_| merge.next().now_or_never()?).map(|(id, _)| id).collect();
    assert!(order.windows(3).all(|three| endless.iter().all(|id| three.contains(id))), "{order:?}");
    assert!(late.resume());
    order = (0..4).filter_map(|_| merge.next().now_or_never()?).map(|(id, _)| id).collect();
    assert!(order.contains(&late_id), "{order:?}");
}

#[tokio::test]
async fn endless_inputs_let_other_tasks_run() {
    let mut merge: Merge<Boxed> = merge(2);
    merge.add(stream::repeat(1).boxed()).unwrap();
    merge.add(stream::repeat(2).boxed()).unwrap();
    let ran = AtomicUsize::new(0);
    let takes = async {
        for _ in 0..200 {
            merge.next().await;
        }
        assert_eq!(ran.load(Ordering::Relaxed), 1, "200 items without once yielding");
    };
    let other = async {
        tokio::task::yield_now().await;
        ran.fetch_add(1, Ordering::Relaxed);
    };
    tokio::join!(takes, other);
}

#[test]
fn an_input_that_wakes_itself_for_nothing_does_not_hold_the_task() {
    let mut merge = merge(1);
    merge.add(Script::new([Step::WakeAndPause; 1_000])).unwrap();
    let mut polls = 0;
    while merge.next().now_or_never().is_none() {
        polls += 1;
    }
    assert!((7..9).contains(&polls), "{polls}");
}

#[test]
fn dropping_a_wait_at_every_await_loses_no_item() {
    for polls in 0..4 {
        let mut merge = merge(2);
        let (sender, mut receiver) = mpsc::channel(4);
        merge.add(from_fn(move |cx| receiver.poll_recv(cx))).unwrap();
        let mut next = merge.next().boxed_local();
        for _ in 0..polls {
            assert!((&mut next).now_or_never().is_none());
        }
        sender.try_send(7).unwrap();
        drop(next);
        let (_, event) = merge.next().now_or_never().unwrap().unwrap();
        assert_eq!(event, Event::Item(7));
    }
}

#[test]
fn a_panic_in_one_input_reaches_the_caller_and_the_others_go_on() {
    let mut merge: Merge<Boxed> = merge(3);
    merge.add(stream::iter([1, 2]).boxed()).unwrap();
    merge.add(stream::poll_fn(|_| panic!("broken input")).boxed()).unwrap();
    merge.add(stream::iter([3, 4]).boxed()).unwrap();
    assert_eq!(merge.next().now_or_never().flatten().and_then(|(_, event)| event.into_item()), Some(1));
    let caught = catch_unwind(AssertUnwindSafe(|| merge.next().now_or_never())).unwrap_err();
    assert_eq!(caught.downcast_ref::<&str>(), Some(&"broken input"));
    assert_eq!(merge.len(), 2);
    let left: Vec<_> = drained(&mut merge).into_iter().filter_map(|(_, event)| event.into_item()).collect();
    assert_eq!(left, [3, 2, 4]);
    assert_eq!(merge.snapshot().details[2], ("panicked", 1));
}

#[test]
fn a_waker_of_an_input_that_left_does_not_have_its_successor_polled() {
    let mut merge = merge(1);
    let first = Script::new([Step::Pause]);
    let id = merge.add(first.clone()).unwrap();
    assert!(merge.next().now_or_never().is_none());
    drop(merge.remove(id));
    let second = Script::new([Step::Pause, Step::Item]);
    merge.add(second.clone()).unwrap();
    assert!(merge.next().now_or_never().is_none());
    assert!(first.resume());
    assert!(merge.next().now_or_never().is_none());
    assert_eq!((first.polls(), second.polls()), (1, 1));
}

#[test]
fn an_input_that_was_removed_while_it_was_ready_leaves_no_trace() {
    let mut merge: Merge<Boxed> = merge(2);
    let gone = merge.add(stream::repeat(1).boxed()).unwrap();
    assert!(merge.remove(gone).is_some());
    assert_eq!(merge.next().now_or_never(), Some(None));
    let id = merge.add(stream::iter([5]).boxed()).unwrap();
    assert_eq!(drained(&mut merge), [(id, Event::Item(5)), (id, Event::Ended)]);
}

#[tokio::test]
async fn handles_add_and_remove_from_other_tasks_and_the_merge_ends_after_the_last() {
    let mut merge: Merge<Boxed> = merge(3);
    let handle = merge.handle();
    let other = tokio::runtime::Handle::current().spawn(async move {
        tokio::task::yield_now().await;
        let endless = handle.clone().add(stream::pending().boxed()).unwrap();
        tokio::task::yield_now().await;
        handle.add(stream::iter([8]).boxed()).unwrap();
        tokio::task::yield_now().await;
        assert!(handle.remove(endless) && !handle.remove(endless));
        endless
    });
    let mut events = Vec::new();
    while let Some(event) = merge.next().await {
        events.push(event);
    }
    let endless = other.await.unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.contains(&(endless, Event::Ended)));
    assert!(events.iter().any(|(_, event)| *event == Event::Item(8)));
}

#[test]
fn a_merge_that_is_dropped_drops_what_it_was_given_and_takes_no_more() {
    let alive = Arc::new(());
    let input = |alive: &Arc<()>| {
        let alive = Arc::clone(alive);
        stream::repeat_with(move || Arc::strong_count(&alive) as u32).boxed()
    };
    let mut merge: Merge<Boxed> = merge(4);
    let handle = merge.handle();
    merge.add(input(&alive)).unwrap();
    let added = handle.add(input(&alive)).unwrap();
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(merge);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(handle.is_empty() && !handle.remove(added));
    let refused = handle.add(input(&alive)).unwrap_err();
    assert_eq!(refused.rejected.reason(), Reason::Draining);
}

#[test]
fn what_a_handle_added_can_be_taken_back_before_it_was_polled() {
    let mut merge: Merge<Boxed> = merge(4);
    let handle = merge.handle();
    let id = handle.add(stream::iter([1]).boxed()).unwrap();
    assert!(merge.remove(id).is_some());
    drop(handle);
    assert_eq!(merge.next().now_or_never(), Some(None));
}

#[test]
fn a_watch_is_read_at_its_newest_and_ends_with_its_sender() {
    let (sender, receiver) = tokio::sync::watch::channel(1);
    let mut merge = merge(1);
    merge.add(watched(receiver)).unwrap();
    let mut items = || {
        let events = drained(&mut merge).into_iter();
        events.map(|(_, event)| event.into_item()).collect::<Vec<_>>()
    };
    assert_eq!(items(), [Some(1)]);
    assert_eq!(items(), []);
    sender.send_replace(2);
    sender.send_replace(20);
    assert_eq!(items(), [Some(20)]);
    sender.send_replace(30);
    drop(sender);
    assert_eq!(items(), [Some(30), None]);
}

#[test]
fn the_last_handle_takes_it_out_of_the_registry_and_it_can_be_sent() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let merge = Merge::<Boxed>::builder("merge-registered").inputs_max(1).build().unwrap();
    let seen =
        || registry::snapshot().iter().filter(|bound| bound.name.as_str() == "merge-registered").count();
    let mut merge = send(merge);
    drop(send(merge.next()));
    assert_eq!(seen(), 1);
    drop(merge);
    assert_eq!(seen(), 0);
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![3 => Just(Step::Item), 1 => Just(Step::Pause), 1 => Just(Step::WakeAndPause)];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_item_comes_once_in_its_inputs_order_and_no_wake_is_lost(
        scripts in prop::collection::vec(script(), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let mut merge = merge(8);
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut inputs = BTreeMap::new();
        for steps in &scripts {
            let script = Script::new(steps.iter().copied());
            inputs.insert(merge.add(script.clone()).unwrap(), script);
        }
        let mut got: BTreeMap<InputId, Vec<u32>> = BTreeMap::new();
        let mut ended = 0;
        let mut order = order.into_iter().cycle();
        let mut expected_wakes = 0;
        loop {
            prop_assert!(woken.0.load(Ordering::Relaxed) >= expected_wakes, "the merge was not woken");
            match merge.poll_next_unpin(&mut cx) {
                Poll::Ready(Some((id, Event::Item(item)))) => got.entry(id).or_default().push(item),
                Poll::Ready(Some((_, Event::Ended))) => ended += 1,
                Poll::Ready(None) => break,
                Poll::Pending => {
                    let paused: Vec<_> =
                        inputs.values().filter(|input| input.0.lock().unwrap().waker.is_some()).collect();
                    prop_assert!(!paused.is_empty(), "it waits for nobody");
                    let which = order.next().map_or(0, |index| index.index(paused.len()));
                    expected_wakes = woken.0.load(Ordering::Relaxed) + 1;
                    prop_assert!(paused[which].resume());
                }
            }
        }
        prop_assert_eq!(ended, scripts.len());
        for (id, script) in &inputs {
            let given = script.0.lock().unwrap().given;
            let items = got.remove(id).unwrap_or_default();
            prop_assert_eq!(items, (0..given).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let mut merge = merge::<stream::Pending<u32>>(1);
    merge.add(stream::pending()).unwrap();
    let handle = merge.handle();
    for is_replaced in [true, false] {
        let again = handle.clone();
        let waker = on_drop(move || assert!(again.len() <= 1));
        assert!(pin!(merge.next()).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        if is_replaced {
            assert!(merge.next().now_or_never().is_none());
        }
    }
    drop(merge);
    assert_eq!(handle.len(), 0);
}
