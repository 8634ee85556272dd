//! A task that works on one item after the other.
//!
//! A map starts with one lane. Another is started, up to the limit, when an item makes its lane wait,
//! or has kept it busy for long: so that items which are ready at once cost no task at all, and
//! items that compute still spread over the workers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime;

use super::core::{Core, Retired, Seat};
use super::gauge::{Flight, Gauge};
use super::ordered::Ordered;
use super::policy::{Fate, Ledger, Verdict};
use super::source::Takes;
use crate::clock;
use crate::scope::{Scope, enter};
use crate::unwind::caught;

/// How many items a lane or a local map finishes before it lets other tasks have the thread: tokio's own measure.
pub(super) const TURN_ITEMS: u32 = 128;
/// How long a lane is busy without waiting before another is started.
const TURN_TIME: Duration = Duration::from_micros(50);

/// What the lanes work on.
pub(super) struct Shared<S, F, L: Ledger> {
    source: Mutex<Pulled<S, L::Kept>>,
    work: F,
    scope: Option<Scope>,
    gauge: Option<Arc<Gauge>>,
    pub(super) core: Arc<Core<L>>,
}

struct Pulled<S, K> {
    source: S,
    next: usize,
    items_max: Option<usize>,
    /// A lane gives what it has kept of an item when it takes the next: under the one lock that it
    /// needs for that, and without a list of its own that would have to grow.
    kept: Ordered<K>,
}

enum Turn {
    Waits,
    Ends,
}

impl<S, F, L: Ledger> Shared<S, F, L> {
    pub(super) const fn new(
        source: S,
        work: F,
        scope: Option<Scope>,
        gauge: Option<Arc<Gauge>>,
        core: Arc<Core<L>>,
    ) -> Self {
        let source = Mutex::new(Pulled { source, next: 0, items_max: None, kept: Ordered::new() });
        Self { source, work, scope, gauge, core }
    }

    fn lock(&self) -> MutexGuard<'_, Pulled<S, L::Kept>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept, when every lane has left.
    pub(super) fn take_kept(&self) -> Ordered<L::Kept> {
        std::mem::replace(&mut self.lock().kept, Ordered::new())
    }
}

impl<S, F, L, Fut> Shared<S, F, L>
where
    S: Takes<Fut::Output, Value = L::Value, Error = L::Error> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    L: Ledger<Value: Send, Error: Send, Kept: Send> + Send + 'static,
{
    /// Starts a lane if it may start.
    pub(super) fn start_lane(self: &Arc<Self>) {
        let Some(seat) = self.core.enter() else { return };
        // From here on the seat is given back by whatever happens, a missing runtime included.
        let lane = Lane::new(Arc::clone(self), seat);
        let runtime = runtime::Handle::current();
        let task = match self.scope.clone() {
            Some(scope) => runtime.spawn(enter(scope, lane)),
            None => runtime.spawn(lane),
        };
        self.core.entered(seat, task.abort_handle());
    }

    /// The caller's iterator or stream runs under this lock: those who wait for it want an item too.
    fn pull(
        &self,
        lane: usize,
        done: Option<(usize, L::Kept)>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(usize, S::Item)>> {
        let mut pulled = self.lock();
        if let Some((place, kept)) = done {
            pulled.kept.put(place, kept);
        }
        let polled = pulled.source.poll_next(lane, cx);
        self.core.flags.set_more(pulled.source.has_more());
        let place = pulled.next;
        if let Poll::Ready(Some(_)) = polled {
            pulled.next += 1;
        }
        if L::COUNTS {
            let items_max = pulled.source.left_max().and_then(|left| pulled.next.checked_add(left));
            if items_max != pulled.items_max {
                pulled.items_max = items_max;
                drop(pulled);
                if self.core.expect(items_max.unwrap_or(usize::MAX)) == Verdict::Stop {
                    return Poll::Ready(None);
                }
            }
        }
        polled.map(|item| item.map(|item| (place, item)))
    }

    fn feed(&self, lane: usize, children: S::Children) {
        let mut pulled = self.lock();
        pulled.source.feed(lane, children);
        self.core.flags.set_more(true);
    }
}

pin_project! {
    /// The future of a lane's task. What it holds is dropped in this order when it is aborted.
    pub(super) struct Lane<S, F, Fut, L>
    where
        L: Ledger,
    {
        #[pin]
        future: Option<Fut>,
        flight: Option<Flight>,
        place: usize,
        // Whether the item has been the reason for another lane.
        told: bool,
        // Of the item before, and not given yet.
        kept: Option<L::Kept>,
        // Before the seat: when the last seat is left, source and work are the owner's alone.
        shared: Option<Arc<Shared<S, F, L>>>,
        seat: Seated<L>,
    }

    impl<S, F, Fut, L> PinnedDrop for Lane<S, F, Fut, L>
    where
        L: Ledger,
    {
        fn drop(this: Pin<&mut Self>) {
            // The runtime would swallow a panic of an item that is dropped because it was aborted.
            let mut this = this.project();
            for dropped in [caught(|| this.future.set(None)), caught(|| *this.kept = None)] {
                if let Err(payload) = dropped {
                    this.seat.core.panicked(payload);
                }
            }
        }
    }
}

/// A seat, given back when it is dropped.
struct Seated<L: Ledger> {
    core: Arc<Core<L>>,
    seat: Seat,
}

impl<L: Ledger> Drop for Seated<L> {
    fn drop(&mut self) {
        self.core.leave(self.seat);
    }
}

impl<S, F, Fut, L: Ledger> Lane<S, F, Fut, L> {
    fn new(shared: Arc<Shared<S, F, L>>, seat: Seat) -> Self {
        let seat = Seated { core: Arc::clone(&shared.core), seat };
        Self { future: None, flight: None, place: 0, told: false, kept: None, shared: Some(shared), seat }
    }
}

impl<S, F, Fut, L> Lane<S, F, Fut, L>
where
    S: Takes<Fut::Output, Value = L::Value, Error = L::Error> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    L: Ledger<Value: Send, Error: Send, Kept: Send> + Send + 'static,
{
    fn turn(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Turn {
        let mut this = self.project();
        let Some(shared) = this.shared else { return Turn::Ends };
        let lane = this.seat.seat.lane;
        let (mut finished, mut busy_since) = (0u32, None);
        loop {
            if this.future.is_none() {
                if shared.core.flags.is_stopped() {
                    return Turn::Ends;
                }
                let done = this.kept.take().map(|kept| (*this.place, kept));
                match shared.pull(lane, done, cx) {
                    Poll::Ready(Some((place, item))) => {
                        *this.place = place;
                        *this.told = false;
                        *this.flight = shared.gauge.as_ref().map(Gauge::begin);
                        this.future.set(Some((shared.work)(item)));
                    }
                    Poll::Ready(None) => return Turn::Ends,
                    Poll::Pending => return Turn::Waits,
                }
            }
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Turn::Ends };
            let Poll::Ready(output) = future.poll(cx) else {
                if !*this.told && shared.core.flags.want_a_lane() {
                    *this.told = true;
                    shared.start_lane();
                }
                return Turn::Waits;
            };
            this.future.set(None);
            let (result, children) = S::split(output);
            if let Some(flight) = this.flight.take().filter(|_| result.is_err()) {
                flight.failed();
            }
            if let Some(children) = children {
                shared.feed(lane, children);
            }
            match L::sort(result) {
                Fate::Forgotten => {}
                Fate::Kept(kept) => *this.kept = Some(kept),
                Fate::Told(result) => {
                    if shared.core.settle(result) != Verdict::GoOn {
                        return Turn::Ends;
                    }
                }
            }
            finished += 1;
            if finished.is_power_of_two() && finished > 1 {
                // From the second item on, so that one which waited costs no look at the clock.
                let now = clock::now();
                let is_long = now - *busy_since.get_or_insert(now) > TURN_TIME;
                if is_long && shared.core.flags.want_a_lane() {
                    shared.start_lane();
                }
                if is_long || finished == TURN_ITEMS {
                    cx.waker().wake_by_ref();
                    return Turn::Waits;
                }
            }
        }
    }
}

impl<S, F, Fut, L> Future for Lane<S, F, Fut, L>
where
    S: Takes<Fut::Output, Value = L::Value, Error = L::Error> + Send + 'static,
    F: Fn(S::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    L: Ledger<Value: Send, Error: Send, Kept: Send> + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match caught(|| self.as_mut().turn(cx)) {
                Ok(Turn::Waits) => return Poll::Pending,
                Ok(Turn::Ends) => {}
                Err(payload) => {
                    let mut this = self.as_mut().project();
                    this.seat.core.panicked(payload);
                    if let Err(payload) = caught(|| this.future.set(None)) {
                        this.seat.core.panicked(payload);
                    }
                }
            }
            let this = self.as_mut().project();
            if this.seat.core.retire(this.seat.seat) == Retired::Leaves {
                // The drop of what is shared is that of source and work, should the owner be gone.
                for dropped in [caught(|| *this.kept = None), caught(|| drop(this.shared.take()))] {
                    if let Err(payload) = dropped {
                        this.seat.core.panicked(payload);
                    }
                }
                *this.flight = None;
                // The seat is left when the runtime drops the task, which it does at once.
                return Poll::Ready(());
            }
        }
    }
}
