//! A call as a future with a name, so that it can be part of others.

use std::hash::Hash;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::error::Error;
use super::flight::{Follower, Leader, Turn};
use super::table::{Role, Table};
use crate::unwind::{caught, poll_caught};

pin_project! {
    /// A call that leads or follows; made by [`Singleflight::run`](super::Singleflight::run).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::singleflight::{Lazy, Run, Singleflight};
    /// let users = Singleflight::<u64, u64, ()>::builder("users-future").build()?;
    /// let call: Run<_, _, _, Lazy<_, _>> = users.run(7, async || Ok(1));
    /// assert_eq!(users.snapshot().in_use, 0, "it begins when it is polled");
    /// assert_eq!(call.await, Ok(1));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<K, T, E, Fut>
    where
        K: Hash,
        K: Eq,
    {
        // Before the step: it is dropped before another takes over.
        #[pin]
        work: Option<Fut>,
        step: Step<K, T, E>,
    }
}

enum Step<K: Hash + Eq, T, E> {
    Join(Arc<Table<K, T, E>>, K),
    Follow(Follower<K, T, E>),
    Lead(Leader<K, T, E>),
    Ended,
}

impl<K: Hash + Eq, T, E, Fut> Run<K, T, E, Fut> {
    pub(super) const fn new(table: Arc<Table<K, T, E>>, key: K, work: Fut) -> Self {
        Self { work: Some(work), step: Step::Join(table, key) }
    }
}

impl<K, T, E, Fut> Future for Run<K, T, E, Fut>
where
    K: Hash + Eq,
    T: Clone,
    E: Clone,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = loop {
            *this.step = match mem::replace(this.step, Step::Ended) {
                Step::Join(table, key) => match table.join(key) {
                    Role::Lead(leader) => Step::Lead(leader),
                    Role::Follow(follower) => Step::Follow(follower),
                    Role::Recall(flight) => break flight.result(),
                    Role::Reject(rejected) => break Err(Error::Rejected(rejected)),
                },
                Step::Follow(mut follower) => match follower.poll_turn(cx) {
                    Poll::Ready(Turn::Lead(leader)) => Step::Lead(leader),
                    Poll::Ready(Turn::Ended(flight)) => break flight.result(),
                    Poll::Pending => {
                        *this.step = Step::Follow(follower);
                        return Poll::Pending;
                    }
                },
                Step::Lead(leader) => {
                    let Some(work) = this.work.as_mut().as_pin_mut() else {
                        unreachable!("a leader has its work until it has ended");
                    };
                    let ended = match poll_caught(work, cx) {
                        Ok(Poll::Pending) => {
                            *this.step = Step::Lead(leader);
                            return Poll::Pending;
                        }
                        Ok(Poll::Ready(result)) => Ok(result),
                        Err(payload) => Err(payload),
                    };
                    let dropped = caught(|| this.work.set(None));
                    match ended.and_then(|result| dropped.map(|()| result)) {
                        Ok(result) => break leader.end(result).map_err(Error::Inner),
                        Err(payload) => {
                            leader.panicked(&payload);
                            resume_unwind(payload);
                        }
                    }
                }
                Step::Ended => panic!("polled after it was done"),
            };
        };
        this.work.set(None);
        Poll::Ready(result)
    }
}

pin_project! {
    /// The future of a closure that is called when it is first polled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::cell::Cell;
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-lazy").build()?;
    /// let called = Cell::new(false);
    /// let run = users.run(7, || { called.set(true); async { Ok(1) } });
    /// assert!(!called.get());
    /// assert_eq!((run.await, called.get()), (Ok(1), true));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Lazy<F, Fut> {
        work: Option<F>,
        #[pin]
        future: Option<Fut>,
    }
}

impl<F, Fut> Lazy<F, Fut> {
    pub(super) const fn new(work: F) -> Self {
        Self { work: Some(work), future: None }
    }
}

impl<F, Fut> Future for Lazy<F, Fut>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    type Output = Fut::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        let mut this = self.project();
        if let Some(work) = this.work.take() {
            this.future.set(Some(work()));
        }
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => panic!("polled after its closure panicked"),
        }
    }
}
