//! Work that makes work.
//!
//! # Invariants
//! - A lane works depth first on what it has found itself, so its stack holds at most one iterator
//!   for each level below the item that it began with: all in all, `limit` times the depth.
//! - A lane with nothing of its own takes one item from another's stack, of the level nearest to the
//!   root; a root only when there is nothing else.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::source::{Sealed, Source, Split, Takes};

/// The roots, and the children that were found and not yet visited; `C` iterates over children.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::map::{Frontier, Map};
/// let visit = async |n: u32| Ok::<_, ()>((n, (2 * n..2 * n + 2).filter(|child| *child < 8)));
/// let tree: Map<Frontier<_, _>, _> = plimsoll::crawl([1], 2, visit);
/// let mut visited = tree.await.unwrap();
/// visited.sort();
/// assert_eq!(visited, [1, 2, 3, 4, 5, 6, 7]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Frontier<I, C> {
    roots: Option<I>,
    /// What each lane has found, the root's side first.
    stacks: Vec<VecDeque<C>>,
    /// How many iterators there are in all stacks.
    pub(super) open: usize,
}

impl<I, C> Frontier<I, C> {
    pub(super) fn new(roots: I) -> Self {
        Self { roots: Some(roots), stacks: Vec::new(), open: 0 }
    }
}

impl<I: Iterator, C: Iterator<Item = I::Item>> Frontier<I, C> {
    /// The next of what the lane has found itself, the deepest first.
    fn next_own(&mut self, lane: usize) -> Option<I::Item> {
        let stack = self.stacks.get_mut(lane)?;
        while let Some(children) = stack.back_mut() {
            let item = children.next();
            if item.is_some() && children.size_hint().1 != Some(0) {
                return item;
            }
            stack.pop_back();
            self.open -= 1;
            if item.is_some() {
                return item;
            }
        }
        None
    }

    /// One item of another lane's, near to the root: it is likely to be the most work.
    fn next_of_others(&mut self, lane: usize) -> Option<I::Item> {
        let lanes = self.stacks.len();
        for other in (1..lanes).map(|distance| (lane + distance) % lanes) {
            while let Some(children) = self.stacks[other].front_mut() {
                let item = children.next();
                if item.is_some() && children.size_hint().1 != Some(0) {
                    return item;
                }
                self.stacks[other].pop_front();
                self.open -= 1;
                if item.is_some() {
                    return item;
                }
            }
        }
        None
    }

    fn next_root(&mut self) -> Option<I::Item> {
        let roots = self.roots.as_mut()?;
        let item = roots.next();
        if item.is_none() || roots.size_hint().1 == Some(0) {
            self.roots = None;
        }
        item
    }
}

impl<I, C> Sealed for Frontier<I, C> {}

impl<I: Iterator, C: Iterator<Item = I::Item>> Source for Frontier<I, C> {
    type Item = I::Item;

    fn poll_next(&mut self, lane: usize, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        if self.stacks.len() <= lane {
            self.stacks.resize_with(lane + 1, VecDeque::new);
        }
        let item =
            if self.open == 0 { None } else { self.next_own(lane).or_else(|| self.next_of_others(lane)) };
        Poll::Ready(item.or_else(|| self.next_root()))
    }

    fn has_more(&self) -> bool {
        self.open > 0 || self.roots.is_some()
    }

    fn left_max(&self) -> Option<usize> {
        None
    }
}

impl<I, C, T, D, E> Takes<Result<(T, D), E>> for Frontier<I, C>
where
    I: Iterator,
    C: Iterator<Item = I::Item>,
    D: IntoIterator<IntoIter = C, Item = I::Item>,
{
    type Value = T;
    type Error = E;
    type Children = C;

    fn split(output: Result<(T, D), E>) -> Split<T, E, C> {
        match output {
            Ok((value, children)) => {
                let children = children.into_iter();
                (Ok(value), Some(children).filter(|children| children.size_hint().1 != Some(0)))
            }
            Err(error) => (Err(error), None),
        }
    }

    fn feed(&mut self, lane: usize, children: C) {
        self.stacks[lane].push_back(children);
        self.open += 1;
    }
}
