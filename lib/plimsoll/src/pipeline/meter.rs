//! What the workers of a stage spend their time on.

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
    items_in: AtomicU64,
    items_out: AtomicU64,
    failed: AtomicU64,
}

/// One worker's time, written by the worker alone. A line of cache to itself, which is what its
/// neighbours' writes would otherwise cost.
#[derive(Default)]
#[repr(align(64))]
struct Hands {
    spent: [AtomicU64; 4],
    /// Since when, and in which phase: in one word, so that they are read together.
    current: AtomicU64,
}

/// A worker's hand on its meter; dropping it stops the clock.
pub(super) struct Clock {
    meter: Arc<Meter>,
    worker: usize,
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
        Self {
            name,
            gauge,
            workers: (0..workers).map(|_| Hands::default()).collect(),
            items_in: AtomicU64::new(0),
            items_out: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn items_out(&self) -> u64 {
        self.items_out.load(Ordering::Relaxed)
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
            items_in: self.items_in.load(Ordering::Relaxed),
            items_out: self.items_out(),
            failed: self.failed.load(Ordering::Relaxed),
            busy: spent[Phase::Busy as usize],
            blocked: spent[Phase::Blocked as usize],
            starved: spent[Phase::Starved as usize],
        }
    }
}

impl Clock {
    pub(super) const fn new(meter: Arc<Meter>, worker: usize) -> Self {
        Self { meter, worker }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let now = clock::now();
        let hands = &self.meter.workers[self.worker];
        let (past, since) = Phase::of(hands.current.swap(phase.since(now), Ordering::Relaxed));
        let nanos = now.as_nanos().saturating_sub(since.as_nanos());
        if let Some(gauge) = self.meter.gauge.as_ref().filter(|_| past != phase) {
            match (past, phase) {
                (Phase::Busy, _) => gauge.subtract(),
                (_, Phase::Busy) => gauge.add(),
                _ => {}
            }
        }
        if past != Phase::Off {
            hands.spent[past as usize].fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(super) fn item_in(&self) {
        self.meter.items_in.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn item_out(&self) {
        self.meter.items_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.meter.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stage(&self) -> Name {
        self.meter.name
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
        let clock = Clock::new(Arc::clone(&meter), 1);
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
