//! What the workers of a stage spend their time on.
//!
//! # Invariants
//! - A worker's counts are written by one task at a time, and so without a locked instruction.
//! - The clock is read when a worker begins or ceases to wait: one that finds an item and room
//!   whenever it looks is busy all along, and its items cost no look at the clock.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::report::StageReport;
use crate::Name;
use crate::clock::{self, Instant};

/// What a worker is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Not started, or ended.
    Off,
    /// Waiting for an item.
    Starved,
    /// Working on one.
    Busy,
    /// Waiting for room to put one.
    Blocked,
}

/// How many workers of all stages are at work, and the most there were.
#[derive(Default)]
pub(super) struct Gauge {
    now: AtomicU64,
    most: AtomicU64,
}

/// The counts of one stage.
pub(super) struct Meter {
    pub(super) name: Name,
    /// `None` for the two ends, where nobody works.
    gauge: Option<Arc<Gauge>>,
    workers: Box<[Hands]>,
}

/// One worker's time and items. A line of cache to itself, which is what its neighbours' writes would
/// otherwise cost.
#[derive(Default)]
#[repr(align(64))]
struct Hands {
    spent: [AtomicU64; 4],
    /// Since when, and in which phase: in one word, so that they are read together.
    current: AtomicU64,
    items_in: AtomicU64,
    items_out: AtomicU64,
    failed: AtomicU64,
}

/// A worker's hand on its meter; dropping it stops the clock.
pub(super) struct Clock {
    meter: Arc<Meter>,
    worker: usize,
    phase: Phase,
    since: Instant,
}

/// Adds to what nobody else writes.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Phase {
    const ALL: [Self; 4] = [Self::Off, Self::Starved, Self::Busy, Self::Blocked];

    const fn since(self, now: Instant) -> u64 {
        now.as_nanos() << 2 | self as u64
    }

    const fn of(word: u64) -> (Self, Instant) {
        (Self::ALL[(word & 3) as usize], Instant::from_nanos(word >> 2))
    }
}

impl Gauge {
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    fn add(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        if now > self.most() {
            self.most.fetch_max(now, Ordering::Relaxed);
        }
    }

    fn subtract(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meter {
    pub(super) fn new(name: Name, workers: usize, gauge: Option<Arc<Gauge>>) -> Self {
        Self { name, gauge, workers: (0..workers).map(|_| Hands::default()).collect() }
    }

    pub(super) fn items_out(&self) -> u64 {
        self.sum(|hands| &hands.items_out)
    }

    fn sum(&self, count: impl Fn(&Hands) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|hands| count(hands).load(Ordering::Relaxed)).sum()
    }

    /// Counts an item of the only worker, which then counts none itself.
    pub(super) fn item_in(&self) {
        add(&self.workers[0].items_in, 1);
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    pub(super) fn report(&self, now: Instant) -> StageReport {
        let mut spent = [Duration::ZERO; 4];
        for hands in &self.workers {
            let (phase, since) = Phase::of(hands.current.load(Ordering::Relaxed));
            for (total, nanos) in spent.iter_mut().zip(&hands.spent) {
                *total += Duration::from_nanos(nanos.load(Ordering::Relaxed));
            }
            spent[phase as usize] += now - since;
        }
        StageReport {
            name: self.name,
            workers: self.workers.len(),
            items_in: self.sum(|hands| &hands.items_in),
            items_out: self.items_out(),
            failed: self.sum(|hands| &hands.failed),
            busy: spent[Phase::Busy as usize],
            blocked: spent[Phase::Blocked as usize],
            starved: spent[Phase::Starved as usize],
        }
    }
}

impl Clock {
    pub(super) fn new(meter: Arc<Meter>, worker: usize) -> Self {
        Self { meter, worker, phase: Phase::Off, since: Instant::default() }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        let past = self.phase;
        if past == phase {
            return;
        }
        let now = clock::now();
        let nanos = now.as_nanos().saturating_sub(self.since.as_nanos());
        (self.phase, self.since) = (phase, now);
        let hands = &self.meter.workers[self.worker];
        hands.current.store(phase.since(now), Ordering::Relaxed);
        if past != Phase::Off {
            add(&hands.spent[past as usize], nanos);
        }
        match (&self.meter.gauge, past, phase) {
            (Some(gauge), Phase::Busy, _) => gauge.subtract(),
            (Some(gauge), _, Phase::Busy) => gauge.add(),
            _ => {}
        }
    }

    /// Waits for what may be ready: only if it is not, the worker enters `phase`.
    pub(super) async fn wait<F: Future>(&mut self, phase: Phase, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() {
                self.enter(phase);
            }
            polled
        })
        .await
    }

    pub(super) fn item_in(&self) {
        add(&self.hands().items_in, 1);
    }

    pub(super) fn item_out(&self) {
        add(&self.hands().items_out, 1);
    }

    pub(super) fn failed(&self) {
        add(&self.hands().failed, 1);
    }

    pub(super) fn stage(&self) -> Name {
        self.meter.name
    }

    fn hands(&self) -> &Hands {
        &self.meter.workers[self.worker]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.enter(Phase::Off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_to_the_phase_it_was_spent_in_also_while_that_lasts() {
        let gauge = Arc::new(Gauge::default());
        let meter = Arc::new(Meter::new(Name::UNNAMED, 2, Some(Arc::clone(&gauge))));
        let seconds = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let mut clock = Clock::new(Arc::clone(&meter), 1);
        seconds(5).await;
        clock.enter(Phase::Starved);
        seconds(1).await;
        clock.enter(Phase::Busy);
        seconds(2).await;
        clock.enter(Phase::Blocked);
        seconds(3).await;
        let shown = |meter: &Meter| {
            let StageReport { busy, blocked, starved, .. } = meter.report(clock::now());
            [starved.as_secs(), busy.as_secs(), blocked.as_secs()]
        };
        assert_eq!(shown(&meter), [1, 2, 3]);
        clock.enter(Phase::Busy);
        seconds(4).await;
        assert_eq!((shown(&meter), gauge.now()), ([1, 6, 3], 1));
        drop(clock);
        seconds(9).await;
        assert_eq!((shown(&meter), gauge.now(), gauge.most()), ([1, 6, 3], 0, 1));
    }
}
