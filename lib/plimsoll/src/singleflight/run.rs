//! A call as a future with a name, so that it can be part of others.

use std::hash::Hash;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::error::Error;
use super::flight::{Flight, Follower, Leader, Turn};
use super::table::{Role, Table};
use crate::unwind::{Payload, caught, poll_caught};

pin_project! {
    /// A call that leads or follows; made by [`Singleflight::run`](super::Singleflight::run).
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<K, T, E, F, Fut>
    where
        K: Hash,
        K: Eq,
    {
        work: Option<F>,
        #[pin]
        step: Step<K, T, E, Fut>,
    }
}

pin_project! {
    #[project = Projected]
    enum Step<K, T, E, Fut>
    where
        K: Hash,
        K: Eq,
    {
        Join { table: Arc<Table<K, T, E>>, key: Option<K> },
        Follow { follower: Follower<K, T, E> },
        // In this order: the work is dropped before another takes over.
        Lead { #[pin] work: Fut, leader: Option<Leader<K, T, E>> },
        Ended,
    }
}

enum Next<K: Hash + Eq, T, E> {
    Lead(Leader<K, T, E>),
    Follow(Follower<K, T, E>),
    Result(Arc<Flight<K, T, E>>),
    Own(Leader<K, T, E>, Result<Result<T, E>, Payload>),
}

impl<K: Hash + Eq, T, E, F, Fut> Run<K, T, E, F, Fut> {
    pub(super) const fn new(table: Arc<Table<K, T, E>>, key: K, work: F) -> Self {
        Self { work: Some(work), step: Step::Join { table, key: Some(key) } }
    }
}

impl<K, T, E, F, Fut> Future for Run<K, T, E, F, Fut>
where
    K: Hash + Eq,
    T: Clone,
    E: Clone,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                Projected::Join { table, key } => match table.join(taken(key)) {
                    Role::Lead(leader) => Next::Lead(leader),
                    Role::Follow(follower) => Next::Follow(follower),
                    Role::Recall(flight) => Next::Result(flight),
                    Role::Reject(rejected) => {
                        this.step.set(Step::Ended);
                        return Poll::Ready(Err(Error::Rejected(rejected)));
                    }
                },
                Projected::Follow { follower } => match ready!(follower.poll_turn(cx)) {
                    Turn::Lead(leader) => Next::Lead(leader),
                    Turn::Ended(flight) => Next::Result(flight),
                },
                Projected::Lead { work, leader } => {
                    let result = match poll_caught(work, cx) {
                        Ok(result) => Ok(ready!(result)),
                        Err(payload) => Err(payload),
                    };
                    Next::Own(taken(leader), result)
                }
                Projected::Ended => panic!("polled after it was done"),
            };
            match next {
                Next::Follow(follower) => this.step.set(Step::Follow { follower }),
                // A panic of the closure is one of the call.
                Next::Lead(leader) => match caught(taken(this.work)) {
                    Ok(work) => this.step.set(Step::Lead { work, leader: Some(leader) }),
                    Err(payload) => panicked(leader, payload),
                },
                Next::Result(flight) => {
                    this.step.set(Step::Ended);
                    return Poll::Ready(flight.result());
                }
                Next::Own(leader, result) => {
                    let dropped = caught(|| this.step.set(Step::Ended));
                    match result.and_then(|result| dropped.map(|()| result)) {
                        Ok(result) => return Poll::Ready(leader.end(result).map_err(Error::Inner)),
                        Err(payload) => panicked(leader, payload),
                    }
                }
            }
        }
    }
}

fn panicked<K: Hash + Eq, T, E>(leader: Leader<K, T, E>, payload: Payload) -> ! {
    leader.panicked(&payload);
    resume_unwind(payload)
}

fn taken<T>(once: &mut Option<T>) -> T {
    let Some(value) = once.take() else { unreachable!("a call is begun once and ends once") };
    value
}
