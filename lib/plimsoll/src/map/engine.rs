//! What a local map polls.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::gauge::{Flight, Gauge};
use super::lane::TURN_ITEMS;
use super::ordered::Ordered;
use super::policy::{Buffer, Fate, Ledger, Verdict};
use super::slots::Slots;
use super::source::Takes;
use crate::unwind::{Payload, caught};

/// The items in flight, and what they left.
pub(super) struct Engine<S, F, Fut, L: Ledger> {
    /// First, so that the futures are dropped before what they may use.
    slots: Slots<Fut>,
    flights: Vec<Item>,
    source: S,
    work: F,
    ledger: L,
    kept: Ordered<L::Kept>,
    limit: usize,
    gauge: Option<Arc<Gauge>>,
    in_flight: usize,
    next: usize,
    /// The slot in whose name the stream was asked for an item.
    asking: Option<usize>,
    verdict: Verdict,
}

#[derive(Default)]
struct Item {
    place: usize,
    flight: Option<Flight>,
}

impl<S, F, Fut, L> Engine<S, F, Fut, L>
where
    S: Takes<Fut::Output, Value = L::Value, Error = L::Error>,
    F: Fn(S::Item) -> Fut,
    Fut: Future,
    L: Ledger,
{
    pub(super) fn new(source: S, work: F, limit: usize, gauge: Option<Arc<Gauge>>, mut ledger: L) -> Self {
        let verdict = ledger.expect(source.left_max().unwrap_or(usize::MAX));
        Self {
            slots: Slots::new(),
            flights: Vec::new(),
            source,
            work,
            ledger,
            kept: Ordered::new(),
            limit,
            gauge,
            in_flight: 0,
            next: 0,
            asking: None,
            verdict,
        }
    }

    /// Ready when every item has ended, or the ledger said pause or stop.
    ///
    /// A panic resumes here, after all that is in flight was dropped.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match caught(|| self.turn(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                if self.verdict == Verdict::Stop
                    && let Err(payload) = self.end()
                {
                    resume_unwind(payload);
                }
                Poll::Ready(())
            }
            Err(payload) => {
                // The first panic counts.
                let _ = self.end();
                resume_unwind(payload);
            }
        }
    }

    fn end(&mut self) -> Result<(), Payload> {
        self.verdict = Verdict::Stop;
        self.in_flight = 0;
        self.flights.clear();
        self.slots.clear()
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.slots.listen(cx);
        for _ in 0..TURN_ITEMS {
            if self.verdict != Verdict::GoOn {
                return Poll::Ready(());
            }
            if let Some(slot) = self.slots.next_woken() {
                self.poll_slot(slot);
                continue;
            }
            match self.begin_next(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.in_flight == 0 => return Poll::Ready(()),
                Poll::Ready(false) | Poll::Pending => return Poll::Pending,
            }
        }
        // Others want the thread too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins the work on another item, if there is one and room for it; says whether anything came
    /// of it.
    fn begin_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.in_flight >= self.limit {
            return Poll::Ready(false);
        }
        let slot = self.asking.take().unwrap_or_else(|| self.slots.take());
        let polled = self.source.poll_next(slot, cx);
        let Poll::Ready(item) = polled else {
            self.asking = Some(slot);
            return Poll::Pending;
        };
        if L::COUNTS {
            let known = self.source.left_max().and_then(|left| left.checked_add(self.next));
            let items_max = known.and_then(|known| known.checked_add(usize::from(item.is_some())));
            self.verdict = self.ledger.expect(items_max.unwrap_or(usize::MAX));
        }
        let Some(item) = item.filter(|_| self.verdict == Verdict::GoOn) else {
            self.slots.give_back(slot);
            return Poll::Ready(self.verdict != Verdict::GoOn);
        };
        if self.flights.len() <= slot {
            self.flights.resize_with(slot + 1, Item::default);
        }
        let flight = self.gauge.as_ref().map(Gauge::begin);
        self.flights[slot] = Item { place: self.next, flight };
        self.next += 1;
        self.slots.begin(slot, (self.work)(item));
        self.in_flight += 1;
        self.poll_slot(slot);
        Poll::Ready(true)
    }

    fn poll_slot(&mut self, slot: usize) {
        let Poll::Ready(output) = self.slots.poll(slot) else { return };
        let (result, children) = S::split(output);
        let item = &mut self.flights[slot];
        if let Some(flight) = item.flight.take().filter(|_| result.is_err()) {
            flight.failed();
        }
        if let Some(children) = children {
            self.source.feed(slot, children);
        }
        self.slots.give_back(slot);
        self.in_flight -= 1;
        match L::sort(result) {
            Fate::Forgotten => {}
            Fate::Kept(kept) => self.kept.put(item.place, kept),
            Fate::Told(result) => self.verdict = self.ledger.settle(result),
        }
    }

    pub(super) fn finish(self) -> L::Output {
        self.ledger.finish(self.kept)
    }
}

impl<S, F, Fut, T, E> Engine<S, F, Fut, Buffer<T, E>>
where
    S: Takes<Fut::Output, Value = T, Error = E>,
    F: Fn(S::Item) -> Fut,
    Fut: Future,
{
    /// The next result, as soon as there is one; `None` when every item has ended.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        let polled = self.poll(cx).map(|()| self.ledger.take());
        // The pause is over: the buffer is empty.
        self.verdict = Verdict::GoOn;
        polled
    }
}
