//! Content with k of them.

use tokio::time::sleep;

use super::{Alive, SECOND};
use crate::group::{Error, Failure, Group, Spawned};

/// Ends after `seconds`, with an error if they are even.
async fn odd(seconds: u32) -> Result<u32, u32> {
    sleep(seconds * SECOND).await;
    if seconds.is_multiple_of(2) { Err(seconds) } else { Ok(seconds) }
}

#[tokio::test(start_paused = true)]
async fn a_quorum_ends_the_rest_and_nobody_has_to_join_for_that() {
    let (alive, begun) = (Alive::default(), tokio::time::Instant::now());
    let mut group = Group::builder("group-test-quorum").limit(8).quorum(2).build().unwrap();
    for seconds in [7, 3, 2, 1, 5] {
        let life = alive.begin();
        group
            .spawn(async move {
                let _life = life;
                odd(seconds).await
            })
            .await;
    }
    sleep(3 * SECOND + SECOND / 2).await;
    assert_eq!(alive.count(), 0);
    assert_eq!(group.spawn(odd(1)).await, Spawned::Ended);
    assert_eq!(group.join().await, Ok(vec![3, 1]), "in the order of their spawning");
    assert_eq!(begun.elapsed(), 3 * SECOND + SECOND / 2);

    group.spawn(odd(2)).await;
    group.spawn(odd(1)).await;
    group.spawn(odd(4)).await;
    let each = group.join_each().await;
    assert_eq!(each, [Err(Failure::Failed(2)), Ok(1), Err(Failure::Failed(4))], "nothing is clipped");
}

#[tokio::test(start_paused = true)]
async fn a_quorum_that_was_not_reached_tells_every_error() {
    let mut group = Group::builder("group-test-missed").limit(8).quorum(3).build().unwrap();
    for seconds in [4, 1, 2, 3] {
        group.spawn(odd(seconds)).await;
    }
    let missed = group.join().await.unwrap_err();
    assert_eq!(missed, Error::OutOfReach { wanted: 3, succeeded: 2, errors: vec![2, 4] });
    assert_eq!(missed.to_string(), "2 of the 3 wanted succeeded, 2 failed, the first: 2");

    group.spawn(odd(1)).await;
    group.cancel();
    assert_eq!(group.join().await, Err(Error::Cancelled));
    assert_eq!(group.join().await, Err(Error::OutOfReach { wanted: 3, succeeded: 0, errors: vec![] }));
}

#[tokio::test(start_paused = true)]
async fn the_first_success_is_a_quorum_of_one() {
    let mut group = Group::builder("group-test-first").limit(1).quorum(1).build().unwrap();
    for seconds in [2, 4, 1, 3] {
        group.spawn(odd(seconds)).await;
    }
    assert_eq!(group.join().await, Ok(vec![1]));
}

#[test]
fn a_quorum_of_zero_or_of_a_group_that_collects_all_is_refused() {
    let builder = || Group::builder("group-test-quorum-bad").limit(1);
    assert_eq!(builder().quorum(0).build::<()>().unwrap_err().field(), "quorum");
    assert_eq!(builder().quorum(1).collect_all().build::<()>().unwrap_err().field(), "quorum");
}
