//! What a submitter holds of its job.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use super::JobError;
use super::inline::{Inline, claim};
use crate::sync::{Mutex, MutexGuard, lock};

pub(super) type Answer<T> = Result<T, JobError>;

/// Where a job's output is put.
pub(super) struct Promise<T> {
    state: Mutex<State<T>>,
    /// Where the job is queued, for whoever waits for it inside of the pool. Another lane when it is
    /// queued anew; written under the pool's lock.
    lane: AtomicUsize,
}

enum State<T> {
    Pending(Option<Waker>),
    Kept(Answer<T>),
    Taken,
}

impl<T> Promise<T> {
    fn new(state: State<T>, lane: usize) -> Self {
        Self { state: Mutex::new(state), lane: AtomicUsize::new(lane) }
    }

    pub(super) fn lane(&self) -> usize {
        self.lane.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    fn keep(&self, answer: Answer<T>) {
        let before = mem::replace(&mut *self.lock(), State::Kept(answer));
        if let State::Pending(Some(waker)) = before {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Answer<T>> {
        // Cloned and dropped while nothing is locked: a waker may be anybody's code, and come back.
        let mut waker = None;
        loop {
            let mut state = self.lock();
            match &mut *state {
                State::Pending(Some(known)) if known.will_wake(cx.waker()) => return Poll::Pending,
                State::Pending(known) if waker.is_some() => {
                    mem::swap(known, &mut waker);
                    return Poll::Pending;
                }
                State::Pending(_) => {}
                State::Kept(_) => match mem::replace(&mut *state, State::Taken) {
                    State::Kept(answer) => return Poll::Ready(answer),
                    State::Pending(_) | State::Taken => unreachable!("it was just seen to be kept"),
                },
                State::Taken => panic!("a ticket is polled no more once it was ready"),
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }
}

/// What a submitter is given for a job: its [`Ticket`], or nothing, which costs nothing.
pub(super) trait Receipt<T>: Sized {
    /// For a job that is queued in `lane` of pool number `pool`.
    fn promised(pool: usize, lane: usize) -> (Answering<T>, Self);

    /// As [`promised`](Self::promised), for an entry that was made before its lane was known.
    fn promised_to(answering: &mut Answering<T>, pool: usize, lane: usize) -> Self;

    /// For one that is dropped at once.
    fn dropped(pool: usize) -> Self;
}

impl<T> Receipt<T> for Ticket<T> {
    fn promised(pool: usize, lane: usize) -> (Answering<T>, Self) {
        let promise = Arc::new(Promise::new(State::Pending(None), lane));
        let ticket = Self { promise: Arc::clone(&promise), pool, inline: None };
        (Answering { promise: Some(promise) }, ticket)
    }

    fn promised_to(answering: &mut Answering<T>, pool: usize, lane: usize) -> Self {
        let ticket;
        (*answering, ticket) = Self::promised(pool, lane);
        ticket
    }

    fn dropped(pool: usize) -> Self {
        let answer = State::Kept(Err(JobError::Dropped));
        Self { promise: Arc::new(Promise::new(answer, 0)), pool, inline: None }
    }
}

impl<T> Receipt<T> for () {
    fn promised(_: usize, _: usize) -> (Answering<T>, Self) {
        (Answering::nobody(), ())
    }

    fn promised_to(_: &mut Answering<T>, _: usize, _: usize) -> Self {}

    fn dropped(_: usize) -> Self {}
}

/// The side of a promise that keeps it; a job that is dropped, wherever that happens, is answered
/// with [`JobError::Cancelled`].
pub(super) struct Answering<T> {
    /// `None` when nobody was given a ticket.
    promise: Option<Arc<Promise<T>>>,
}

impl<T> Answering<T> {
    /// Nobody was given a ticket.
    pub(super) const fn nobody() -> Self {
        Self { promise: None }
    }

    pub(super) const fn is_for_nobody(&self) -> bool {
        self.promise.is_none()
    }

    /// The job was queued in `lane`, by itself: whoever waits for it inside of the pool is to look,
    /// and do it; returns whom to wake for that.
    pub(super) fn queued_in(&self, lane: usize) -> Option<Waker> {
        let promise = self.promise.as_ref()?;
        promise.lane.store(lane, Ordering::Relaxed);
        match &mut *promise.lock() {
            State::Pending(waker) => waker.take(),
            State::Kept(_) | State::Taken => None,
        }
    }

    pub(super) fn answer(mut self, answer: Answer<T>) {
        if let Some(promise) = self.promise.take() {
            promise.keep(answer);
        }
    }

    pub(super) fn is_for(&self, promise: &Arc<Promise<T>>) -> bool {
        self.promise.as_ref().is_some_and(|own| Arc::ptr_eq(own, promise))
    }
}

impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        if let Some(promise) = self.promise.take() {
            promise.keep(Err(JobError::Cancelled));
        }
    }
}

/// A job that was admitted; a future of its output.
///
/// Dropping it does not cancel the job. (One exception: a job that the holder runs in its own
/// place, because it waits for it inside of the pool, ends with the ticket.)
///
/// # Errors
/// [`JobError`] says why there is no output.
///
/// # Cancel safety
/// Nothing is lost by not polling it for a while.
///
/// # Panics
/// When it is polled after it was ready.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::pool::{JobError, Pool, Ticket};
/// let pool = Pool::builder("tickets", |n: u32| async move { n + 1 }).workers(1).queue(8).build()?;
/// let (done, never): (Ticket<u32>, Ticket<u32>) = (pool.submit(1).await?, pool.submit(2).await?);
/// assert_eq!(done.await?, 2);
/// let last = pool.submit(3).await?;
/// drop(never); // done nevertheless
/// drop(pool);
/// assert!(matches!(last.await, Ok(4) | Err(JobError::Cancelled)));
/// # Ok(()) }
/// ```
pub struct Ticket<T> {
    promise: Arc<Promise<T>>,
    pool: usize,
    inline: Option<Inline>,
}

impl<T: Send + 'static> Future for Ticket<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<T>> {
        let this = &mut *self;
        loop {
            if let Some(inline) = &mut this.inline {
                ready!(inline.as_mut().poll(cx));
                this.inline = None;
            }
            if let Poll::Ready(answer) = this.promise.poll(cx) {
                return Poll::Ready(answer);
            }
            // Looked for after the waker was left: a job that is queued in between wakes it.
            this.inline = claim(this.pool, &this.promise);
            if this.inline.is_none() {
                return Poll::Pending;
            }
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_done = matches!(&*self.promise.lock(), State::Kept(_) | State::Taken);
        f.debug_struct("Ticket").field("is_done", &is_done).finish_non_exhaustive()
    }
}
