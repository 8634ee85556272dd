//! Waiting until the last worker of a closed pool has gone.

use std::mem::replace;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::core::Core;
use crate::waiters::Ticket;

/// Ready when no worker is left; more than one may wait, and each may stop to.
pub(super) struct Gone<'a, J, T> {
    core: &'a Core<J, T>,
    place: Option<Ticket>,
}

impl<'a, J, T> Gone<'a, J, T> {
    pub(super) const fn new(core: &'a Core<J, T>) -> Self {
        Self { core, place: None }
    }
}

impl<J, T> Future for Gone<'_, J, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let core = self.core;
        let mut waker = Some(cx.waker().clone());
        let mut state = core.lock();
        if state.alive == 0 {
            return Poll::Ready(());
        }
        match &self.place {
            // The one before is dropped after the lock.
            Some(place) => waker = replace(state.drains.get_mut(place), waker),
            None => self.place = Some(state.drains.push(waker.take())),
        }
        drop(state);
        drop(waker);
        Poll::Pending
    }
}

impl<J, T> Drop for Gone<'_, J, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let left = self.core.lock().drains.remove(place);
            drop(left);
        }
    }
}
