//! Groups in groups, and what is dropped because it was aborted.

use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::{Alive, SECOND, panic_text};
use crate::group::{Error, Group};

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_inner_child_reaches_the_outer_join_after_all_have_ended() {
    let alive = Alive::default();
    let mut outer = Group::new(2).unwrap();
    for panics in [false, true] {
        let (life, alive) = (alive.begin(), alive.clone());
        outer
            .spawn(async move {
                let _life = life;
                let mut inner = Group::new(2).unwrap();
                let life = alive.begin();
                inner
                    .spawn(async move {
                        let _life = life;
                        if panics {
                            sleep(SECOND).await;
                            panic!("inner");
                        }
                        pending::<()>().await;
                    })
                    .await;
                inner.join().await.unwrap();
            })
            .await;
    }
    let payload = AssertUnwindSafe(outer.join()).catch_unwind().await.unwrap_err();
    assert_eq!(panic_text(&*payload), "inner");
    sleep(SECOND).await;
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_outer_group_ends_the_inner() {
    let alive = Alive::default();
    let mut outer = Group::new(1).unwrap();
    let seen = alive.clone();
    outer
        .spawn(async move {
            let mut inner = Group::new(3).unwrap();
            for _ in 0..3 {
                let life = seen.begin();
                inner
                    .spawn(async move {
                        let _life = life;
                        pending::<()>().await;
                    })
                    .await;
            }
            inner.join().await.unwrap();
        })
        .await;
    sleep(SECOND).await;
    assert_eq!(alive.count(), 3);
    outer.cancel();
    assert_eq!(outer.join().await, Err(Error::Cancelled));
    sleep(SECOND).await;
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_child_that_is_dropped_because_it_was_aborted_is_not_swallowed() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("while aborted");
        }
    }
    let mut group = Group::new(1).unwrap();
    group
        .spawn(async {
            let _bomb = Bomb;
            pending::<()>().await;
        })
        .await;
    sleep(SECOND).await;
    group.cancel();
    let payload = AssertUnwindSafe(group.join()).catch_unwind().await.unwrap_err();
    assert_eq!(panic_text(&*payload), "while aborted");
    assert!(group.is_empty());
}
