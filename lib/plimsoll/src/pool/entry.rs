//! A job in the queue, with what it was submitted with.

use std::num::NonZeroU64;
use std::time::Duration;

use super::failures::Tries;
use super::ticket::Answering;
use crate::clock::Instant;
use crate::scope::{Scope, inherited};

/// A job in the queue. Small, since it is moved in and out of there, and since a queue of a thousand
/// is to stay in the processor's nearest cache.
pub(crate) struct Entry<J, T> {
    pub(super) job: J,
    pub(super) answering: Answering<T>,
    pub(super) more: Option<Box<More>>,
    /// Since when it waits for a worker, in nanoseconds, where that is measured.
    queued_at: Option<NonZeroU64>,
}

/// What only a job has that was submitted in a scope, or was tried before.
#[derive(Default)]
pub(crate) struct More {
    pub(super) scope: Option<Scope>,
    pub(super) tries: Tries,
}

impl<J, T> Entry<J, T> {
    #[inline]
    pub(super) const fn new(job: J, answering: Answering<T>, more: Option<Box<More>>) -> Self {
        Self { job, answering, more, queued_at: None }
    }

    /// It waits for a worker from now on, and that is measured.
    pub(super) const fn queued(&mut self, now: Instant) {
        self.queued_at = NonZeroU64::new(now.as_nanos());
    }

    /// How long it waited for a worker, where that is measured.
    #[inline]
    pub(super) fn waited(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.queued_at.map(|at| now() - Instant::from_nanos(at.get()))
    }
}

impl More {
    /// For a job that is submitted here.
    #[inline]
    pub(super) fn inherited() -> Option<Box<Self>> {
        inherited().map(|scope| Box::new(Self { scope: Some(scope), tries: Tries::default() }))
    }
}
