//! Work that makes work.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::sync::Barrier;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::{Alive, SECOND};
use crate::map::source::{Source, Takes};
use crate::map::{Error, Frontier, crawl};

/// For each node the nodes below it: a node's parent is any that came before it. Node 0 is the root.
fn tree(parents: &[usize]) -> Vec<Vec<usize>> {
    let mut children = vec![vec![]; parents.len() + 1];
    for (index, parent) in parents.iter().enumerate() {
        children[parent % (index + 1)].push(index + 1);
    }
    children
}

fn depth(children: &[Vec<usize>], node: usize) -> usize {
    children[node].iter().map(|child| depth(children, *child) + 1).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_node_is_visited_once_and_no_more_than_the_limit_at_once(
        parents in proptest::collection::vec(0..1_000usize, 0..80),
        pauses in proptest::collection::vec(0..4u8, 81),
        limit in 1..9usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (children, alive) = (Arc::new(tree(&parents)), Alive::default());
        let (tree, seen) = (Arc::clone(&children), alive.clone());
        let visit = move |node: usize| {
            let life = seen.begin();
            let (children, pauses) = (tree[node].clone(), pauses[node]);
            async move {
                let _life = life;
                for _ in 0..pauses {
                    yield_now().await;
                }
                Ok::<_, ()>((node, children))
            }
        };
        let mut visited = runtime.block_on(crawl([0], limit, visit.clone()).into_future()).unwrap();
        visited.sort_unstable();
        prop_assert_eq!(&visited, &(0..children.len()).collect::<Vec<_>>());
        let results = async { crawl([0], limit, visit).unordered().unwrap().map(Result::unwrap).collect().await };
        let mut visited: Vec<_> = runtime.block_on(results);
        visited.sort_unstable();
        prop_assert_eq!(visited, (0..children.len()).collect::<Vec<_>>());
        prop_assert!(alive.most() <= limit && alive.count() == 0);
    }

    /// The algorithm alone: lanes take an item and finish it whenever the case says.
    #[test]
    fn what_is_pending_is_bounded_by_limit_times_depth(
        parents in proptest::collection::vec(0..1_000usize, 0..200),
        turns in proptest::collection::vec(0..4usize, 1_000),
    ) {
        type Children = std::vec::IntoIter<usize>;
        let children = tree(&parents);
        let levels = depth(&children, 0);
        let mut frontier = Frontier::<_, Children>::new(std::iter::once(0));
        let (mut in_flight, mut visited) = ([None; 4], vec![]);
        let in_turn = (0..).map(|turn| turn % 4);
        for lane in turns.into_iter().chain(in_turn) {
            let mut cx = Context::from_waker(Waker::noop());
            match in_flight[lane].take() {
                None => {
                    let Poll::Ready(item) = frontier.poll_next(lane, &mut cx) else { unreachable!() };
                    in_flight[lane] = item;
                }
                Some(node) => {
                    visited.push(node);
                    let output = Ok::<_, ()>(((), children[node].clone()));
                    if let (_, Some(children)) = Frontier::<std::iter::Once<usize>, Children>::split(output) {
                        Takes::<Result<((), Vec<usize>), ()>>::feed(&mut frontier, lane, children);
                    }
                }
            }
            prop_assert!(frontier.open <= 4 * levels, "{} of {levels} levels", frontier.open);
            if in_flight.iter().all(Option::is_none) && !frontier.has_more() {
                break;
            }
        }
        visited.sort_unstable();
        prop_assert_eq!(visited, (0..children.len()).collect::<Vec<_>>());
    }
}

/// A tree of `width` children on each of `levels`, in time.
async fn wide(levels: u32, width: u32, level: u32) -> Result<((), Vec<u32>), ()> {
    sleep(SECOND).await;
    Ok(((), if level < levels { vec![level + 1; width as usize] } else { vec![] }))
}

#[tokio::test(start_paused = true)]
async fn children_are_visited_side_by_side() {
    let begun = Instant::now();
    crawl([0], 100, async |level| wide(2, 10, level).await).each().await.unwrap();
    assert_eq!(begun.elapsed(), 3 * SECOND, "a second for each level");
    let begun = Instant::now();
    crawl([0], 1, async |level| wide(2, 10, level).await).each().await.unwrap();
    assert_eq!(begun.elapsed(), 111 * SECOND, "one after the other");
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_it_and_a_search_ends_with_what_it_found() {
    let visit = async |n: u32| {
        yield_now().await;
        if n == 77 { Err("unreadable") } else { Ok((n, (10 * n..10 * n + 10).filter(|n| *n < 1_000))) }
    };
    let failed = crawl(1..10, 4, visit).await;
    assert_eq!(failed.unwrap_err().into_first(), Some("unreadable"));
    let all = crawl(1..10, 4, visit).collect_all().await.unwrap();
    assert_eq!((all.len(), all.iter().filter(|result| result.is_err()).count()), (999 - 10, 1));

    let search = async |n: u32| {
        let children = (10 * n..10 * n + 10).filter(|n| *n < 1_000);
        Ok::<_, ()>((n, children))
    };
    assert_eq!(crawl(1..10, 1, search).quorum(3).await, Ok(vec![1, 10, 100]), "depth first");
    let missed = crawl(1..10, 4, search).quorum(1_000).await;
    assert_eq!(missed, Err(Error::OutOfReach { wanted: 1_000, succeeded: 999, errors: vec![] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_every_node_is_visited_once() {
    for limit in [1, 2, 7] {
        let alive = Alive::default();
        let seen = alive.clone();
        let visit = move |n: u32| {
            let life = seen.begin();
            async move {
                let _life = life;
                for _ in 0..n % 3 {
                    yield_now().await;
                }
                Ok::<_, ()>((n, (10 * n..10 * n + 10).filter(|n| *n < 5_000)))
            }
        };
        let mut visited = crawl(1..10, limit, visit).await.unwrap();
        visited.sort_unstable();
        assert_eq!(visited, (1..5_000).collect::<Vec<_>>());
        assert!(alive.most() <= limit && alive.count() == 0);
    }
}

/// If what one lane found were left lying because another, just leaving, still took up its room, one
/// of a pair would wait for the other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_wait_for_each_other_always_find_two_lanes() {
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(2));
        let visit = move |(pair, is_first): (u32, bool)| {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                for _ in 0..(pair + round) % 3 {
                    yield_now().await;
                }
                let next = (is_first && pair < 300).then(|| [(pair + 1, true), (pair + 1, false)]);
                Ok::<_, ()>(((), next.into_iter().flatten()))
            }
        };
        crawl([(0, true), (0, false)], 2, visit).each().await.unwrap();
    }
}
