mod nesting;
mod quorum;

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::*;
use crate::scope::{self, Ended, Scope};
use crate::waiters::on_drop;
use crate::{Reason, registry};

const SECOND: Duration = Duration::from_secs(1);

/// Counts those that are alive.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Life(Arc<AtomicUsize>);

impl Alive {
    fn begin(&self) -> Life {
        self.0.fetch_add(1, Ordering::SeqCst);
        Life(Arc::clone(&self.0))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn is_pending<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().unwrap()
}

#[tokio::test(start_paused = true)]
async fn values_come_in_the_order_of_their_spawning() {
    let mut group = Group::new(8).unwrap();
    for n in 0..50u64 {
        let child = async move {
            sleep(Duration::from_millis(50 - n)).await;
            Ok::<_, Infallible>(n)
        };
        group.spawn(child).await;
    }
    assert_eq!(group.join().await, Ok((0..50).collect()));
    assert_eq!(group.join().await, Ok(vec![]), "as new");
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_applied_before_a_child_is_spawned() {
    let (alive, mut group) = (Alive::default(), Group::new(3).unwrap());
    for _ in 0..20 {
        let alive = alive.clone();
        let child = async move {
            let _life = alive.begin();
            assert!(alive.count() <= 3);
            sleep(SECOND).await;
        };
        group.spawn(child).await;
        assert!(group.len() <= 3);
    }
    let refused = group.try_spawn(async {}).map_err(|refused| refused.rejected).err();
    assert!(refused.is_none_or(|rejected| rejected.reason() == Reason::Full));
    group.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_error_cancels_the_rest_while_nobody_joins() {
    let (alive, mut group) = (Alive::default(), Group::new(8).unwrap());
    for _ in 0..5 {
        let life = alive.begin();
        group
            .spawn(async move {
                let _life = life;
                pending::<Result<(), &str>>().await
            })
            .await;
    }
    group
        .spawn(async {
            sleep(SECOND).await;
            Err("disk full")
        })
        .await;
    sleep(2 * SECOND).await;
    assert_eq!((alive.count(), group.len()), (0, 0));
    assert_eq!(group.join().await, Err(Error::Failed { first: "disk full", rest: vec![] }));
}

#[tokio::test(start_paused = true)]
async fn a_spawn_on_a_failed_group_returns_at_once() {
    let mut group = Group::new(1).unwrap();
    group.spawn(async { Err::<(), _>("disk full") }).await;
    assert_eq!(group.spawn(pending()).await, Spawned::Ended, "it waited for the slot");
    assert_eq!(group.spawn(pending()).await, Spawned::Ended);
    assert_eq!(group.try_spawn(pending()).unwrap_err().rejected.reason(), Reason::Draining);
    assert!(group.join().await.is_err());
    assert_eq!(group.spawn(async { Ok(()) }).await, Spawned::Started, "as new after the join");
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_waits_returns_when_the_group_fails_before_a_slot_is_free() {
    let mut group = Group::new(2).unwrap();
    let stuck = || {
        // Blocks neither the thread nor its cancellation; only the slot stays taken until then.
        pending::<Result<(), &str>>()
    };
    group.spawn(stuck()).await;
    group
        .spawn(async {
            sleep(SECOND).await;
            Err("down")
        })
        .await;
    assert_eq!(group.spawn(stuck()).await, Spawned::Ended);
}

#[tokio::test(start_paused = true)]
async fn conc_156_errors_after_the_first_are_kept() {
    let mut group = Group::builder("group-test-conc-156").limit(10).collect_all().build().unwrap();
    for n in 0..10u64 {
        let child = async move {
            sleep(Duration::from_millis(n)).await;
            if n % 3 == 0 { Err(n) } else { Ok(n) }
        };
        group.spawn(child).await;
    }
    let each = group.join_each().await;
    let expected = (0..10).map(|n| if n % 3 == 0 { Err(Failure::Failed(n)) } else { Ok(n) });
    assert_eq!(each, expected.collect::<Vec<_>>(), "nothing is clipped");

    for n in [3, 1, 2] {
        group
            .spawn(async move {
                sleep(n * SECOND).await;
                Err(u64::from(n))
            })
            .await;
    }
    assert_eq!(group.join().await, Err(Error::Failed { first: 1, rest: vec![2, 3] }));
}

#[tokio::test(start_paused = true)]
async fn golang_go_53757_74275_a_panic_in_a_child_resumes_at_the_join() {
    let (alive, mut group) = (Alive::default(), Group::new(8).unwrap());
    for _ in 0..3 {
        let life = alive.begin();
        group
            .spawn(async move {
                let _life = life;
                pending::<()>().await;
            })
            .await;
    }
    group.spawn(async { panic!("golang 53757") }).await;
    let payload = AssertUnwindSafe(group.join()).catch_unwind().await.unwrap_err();
    assert_eq!(panic_text(&*payload), "golang 53757");
    assert_eq!(alive.count(), 0, "after its siblings have ended");
    assert_eq!(group.join().await, Ok(vec![]), "once");
}

#[tokio::test(start_paused = true)]
async fn a_panic_lets_the_siblings_finish_in_a_group_that_collects_all() {
    let finished = Arc::new(AtomicUsize::new(0));
    let mut group = Group::builder("group-test-panic-all").limit(8).collect_all().build().unwrap();
    group.spawn(async { panic!("alone") }).await;
    for _ in 0..3 {
        let finished = Arc::clone(&finished);
        group
            .spawn(async move {
                sleep(SECOND).await;
                finished.fetch_add(1, Ordering::SeqCst);
            })
            .await;
    }
    assert!(AssertUnwindSafe(group.join()).catch_unwind().await.is_err());
    assert_eq!(finished.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn tokio_4430_7222_a_dropped_handle_does_not_swallow_the_panic() {
    let mut group = Group::<()>::new(8).unwrap();
    group.spawn(async { panic!("tokio 4430") }).await;
    sleep(SECOND).await;
    let payload = catch_unwind(AssertUnwindSafe(|| drop(group))).unwrap_err();
    assert_eq!(panic_text(&*payload), "tokio 4430");
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_drop_panics_frees_its_slot_and_is_not_swallowed() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let bomb = Bomb;
    let mut group = Group::new(1).unwrap();
    // Kept by the future until it is dropped, since an `async` block ends its variables itself.
    let child = poll_fn(move |_| {
        let _ = &bomb;
        Poll::Ready(())
    });
    group.spawn(child).await;
    assert!(AssertUnwindSafe(group.join()).catch_unwind().await.is_err());
    assert!(group.is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_group_ends_its_children_and_theirs() {
    let alive = Alive::default();
    let mut outer = Group::new(2).unwrap();
    let (first, second) = (alive.begin(), alive.clone());
    outer
        .spawn(async move {
            let _life = first;
            let mut inner = Group::new(2).unwrap();
            let life = second.begin();
            inner
                .spawn(async move {
                    let _life = life;
                    pending::<()>().await;
                })
                .await;
            inner.join().await.unwrap();
        })
        .await;
    sleep(SECOND).await;
    assert_eq!(alive.count(), 2);
    drop(outer);
    sleep(SECOND).await;
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_lived_group_of_units_keeps_nothing_of_the_finished() {
    let mut group = Group::new(4).unwrap();
    for _ in 0..10_000 {
        group.spawn(async {}).await;
    }
    sleep(SECOND).await;
    let values = group.join().await.unwrap();
    assert_eq!((values.len(), values.capacity()), (10_000, usize::MAX), "units take no memory");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_then_cancels_and_says_how_many() {
    let mut group = Group::new(8).unwrap();
    for n in 1..=5u32 {
        group.spawn(sleep(n * SECOND)).await;
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(group.drain(Duration::from_millis(2_500)).await, 3);
    assert_eq!((group.len(), begun.elapsed()), (0, Duration::from_millis(2_500)));
    assert_eq!(group.join().await, Err(Error::Cancelled));
    group.spawn(sleep(SECOND)).await;
    assert_eq!(group.drain(2 * SECOND).await, 0);
    assert_eq!(group.join().await.map(|values| values.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn waiting_can_be_dropped_at_every_point_and_nothing_is_lost() {
    let mut group = Group::new(1).unwrap();
    group
        .spawn(async {
            sleep(SECOND).await;
            Ok::<_, &str>(1)
        })
        .await;
    assert!(is_pending(group.spawn(async { Ok(2) })).await, "dropped before it had a slot: not started");
    assert!(is_pending(group.join()).await);
    assert!(is_pending(group.join_each()).await);
    assert!(is_pending(group.drain(SECOND)).await);
    group.spawn(async { Ok(3) }).await;
    assert_eq!(group.join().await, Ok(vec![1, 3]));
}

#[tokio::test(start_paused = true)]
async fn children_inherit_the_scope_they_were_spawned_in() {
    let mut group = Group::new(2).unwrap();
    let spawn = async {
        group.spawn(async { Ok(scope::current().label_value("tenant").map(str::to_owned)) }).await;
        group.spawn(async { Err(scope::current().remaining()) }).await;
    };
    Scope::new().label("tenant", "acme").deadline_in(SECOND).run(spawn).await.unwrap();
    let each = group.join_each().await;
    assert_eq!(each, [Ok(Some("acme".into())), Err(Failure::Failed(Some(SECOND)))]);

    let spawn = async { group.spawn(pending()).await };
    Scope::new().deadline_in(SECOND).run(spawn).await.unwrap();
    assert_eq!(group.join().await, Err(Error::ScopeEnded(Ended::DeadlinePassed)));
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_a_group_until_it_is_dropped() {
    let mut group = Group::builder("group-test-seen").limit(2).build().unwrap();
    let seen = || registry::snapshot().into_iter().find(|bound| bound.name.as_str() == "group-test-seen");
    group.spawn(sleep(SECOND)).await;
    group.spawn(sleep(SECOND)).await;
    assert!(group.try_spawn(sleep(SECOND)).is_err());
    let now = seen().unwrap();
    assert_eq!((now.limit, now.in_use, now.high_water, now.admitted, now.rejected), (2, 2, 2, 2, 1));
    assert_eq!((now.rejected_by, now.waits.count()), (vec![(Reason::Full, 1)], 0));
    group.spawn(sleep(SECOND)).await;
    let now = seen().unwrap();
    assert_eq!((now.waits.count(), now.waits.total()), (1, SECOND));
    group.cancel();
    group.spawn(sleep(SECOND)).await;
    assert_eq!(seen().unwrap().rejected_by, [(Reason::Full, 1), (Reason::Draining, 1)]);
    drop(group);
    sleep(SECOND).await;
    assert!(seen().is_none());
}

#[test]
fn golang_go_27837_set_limit_zero_a_limit_of_zero_is_refused() {
    for limit in [0, usize::MAX] {
        assert_eq!(Group::<()>::new(limit).unwrap_err().field(), "limit");
        assert_eq!(Group::builder("group-test-bad").limit(limit).build::<()>().unwrap_err().field(), "limit");
    }
    assert!(Group::builder("group-test-unset").build::<()>().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_on_many_threads_keep_the_limit_and_lose_nothing() {
    let alive = Alive::default();
    let mut group = Group::new(7).unwrap();
    for n in 0..2_000u32 {
        let alive = alive.clone();
        let child = async move {
            let _life = alive.begin();
            assert!(alive.count() <= 7);
            if n % 5 == 0 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(n)
        };
        group.spawn(child).await;
    }
    assert_eq!(group.join().await, Ok((0..2_000).collect()));
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_scope_ends_the_children_spawned_in_it() {
    let scope = Scope::new();
    let (alive, mut group) = (Alive::default(), Group::new(2).unwrap());
    let life = alive.begin();
    let child = async move {
        let _life = life;
        pending::<()>().await;
    };
    scope.clone().run(async { group.spawn(child).await }).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(alive.count(), 1);
    scope.cancel();
    assert_eq!(group.join().await, Err(Error::ScopeEnded(Ended::Cancelled)));
    assert_eq!(alive.count(), 0);
}

/// Fills a group that is too small for its children, and joins it.
async fn filled(alive: Alive, quorum: Option<usize>) {
    let builder = Group::builder("group-test-filled").limit(2);
    let builder = quorum.map_or(builder.clone(), |wanted| builder.quorum(wanted));
    let mut group = builder.build().unwrap();
    for n in 0..8 {
        let life = alive.begin();
        let child = async move {
            let _life = life;
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(())
        };
        group.spawn(child).await;
    }
    group.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_every_point_leaves_no_child_behind() {
    for polls in 0..40 {
        let alive = Alive::default();
        for quorum in [None, Some(5)] {
            let mut run = Box::pin(filled(alive.clone(), quorum));
            for _ in 0..polls {
                if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        sleep(SECOND).await;
        assert_eq!(alive.count(), 0, "after {polls} polls");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_no_child_survives_the_join() {
    let alive = Alive::default();
    for round in 0..100 {
        let mut group = Group::builder("group-test-survive").limit(8).quorum(3).build().unwrap();
        for n in 0..8u32 {
            let life = alive.begin();
            let child = async move {
                let _life = life;
                for _ in 0..(round + n) % 4 {
                    tokio::task::yield_now().await;
                }
                if n < 4 { Ok(n) } else { pending::<Result<u32, ()>>().await }
            };
            group.spawn(child).await;
        }
        let values = group.join().await.unwrap();
        assert!(values.len() >= 3 && values.is_sorted(), "{values:?}");
        assert_eq!(alive.count(), 0);
    }
}

#[test]
fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut group = Group::builder("group-waker").limit(1).build().unwrap();
        group.spawn(pending::<()>()).await;
        let mut waits = pin!(group.join());
        let waker = on_drop(|| assert!(!registry::snapshot().is_empty()));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert!(waits.as_mut().now_or_never().is_none());
    });
}

#[tokio::test(start_paused = true)]
async fn one_connection_that_panics_or_runs_out_of_time_does_not_end_the_others() {
    let alive = Alive::default();
    let mut connections = Group::builder("group-connections").limit(8).collect_all().build().unwrap();
    for _ in 0..4 {
        let life = alive.begin();
        connections
            .spawn(async move {
                let _life = life;
                pending::<()>().await;
            })
            .await;
    }
    connections.spawn(async { panic!("one connection") }).await;
    let timed = connections.spawn(pending::<()>());
    Scope::new().deadline_in(SECOND).enter(timed).await;
    sleep(2 * SECOND).await;
    assert_eq!((alive.count(), connections.len()), (4, 4));
    assert_eq!(connections.drain(SECOND).await, 4);
    let joined = AssertUnwindSafe(connections.join()).catch_unwind().await;
    assert_eq!(panic_text(&*joined.unwrap_err()), "one connection");
}
