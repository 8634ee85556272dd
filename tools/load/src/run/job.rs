//! What is due next: arrivals of the schedule, each with what is sent and for whom.

use std::time::Duration;

use plimsoll::clock::Instant;

use crate::mix::{Data, Mix, Order, Tenants};
use crate::profile::{Arrival, Schedule};

/// A request that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Job {
    /// The intended moment of its sending.
    pub(super) due: Instant,
    pub(super) stage: u16,
    /// Which of the mix's requests it is.
    pub(super) kind: u16,
    pub(super) tenant: u32,
    pub(super) row: u32,
    /// How long after it was due it was looked at: the generator's own delay.
    pub(super) late: Duration,
    /// Whether a connection was free for it when it was due.
    pub(super) found: Found,
}

/// What a request met with when it was due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A free connection: if it is late, the generator is.
    Free,
    /// None: it waited until one was open or free.
    Busy,
    /// None, and it waited while the generator had as many as it may have, or as it is given.
    Capped,
}

/// Makes jobs of arrivals.
pub(super) struct Source {
    schedule: Schedule,
    next: Option<Arrival>,
    chance: fastrand::Rng,
    kinds: Weighted,
    tenants: Option<Weighted>,
    rows: Option<Rows>,
    // Which kinds take a row.
    fills: Vec<bool>,
}

/// Chooses by weight.
struct Weighted {
    // The sum of the weights so far.
    sums: Vec<f64>,
}

/// Takes rows in their order: of several workers, each takes every so-manieth of the endless round.
struct Rows {
    order: Order,
    count: u64,
    next: u64,
    step: u64,
}

impl Source {
    /// The jobs of one of so many workers.
    pub(super) fn new(
        mut schedule: Schedule,
        mix: &Mix,
        fills: Vec<bool>,
        tenants: Option<&Tenants>,
        (worker, workers): (usize, usize),
        seed: u64,
    ) -> Self {
        let next = schedule.next();
        let list = |tenants: &Tenants| Weighted::new(tenants.list().iter().map(|tenant| tenant.weight));
        Self {
            schedule,
            next,
            chance: fastrand::Rng::with_seed(seed ^ (worker as u64 + 1).rotate_left(32)),
            kinds: Weighted::new(mix.requests().iter().map(|request| request.weight)),
            tenants: tenants.map(list),
            rows: mix.data.as_ref().map(|data| Rows::new(data, worker, workers)),
            fills,
        }
    }

    /// When the next one is due, from the beginning.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.next.map(|arrival| arrival.at)
    }

    /// Takes the next one.
    pub(super) fn take(&mut self, began: Instant) -> Option<Job> {
        let arrival = self.next?;
        self.next = self.schedule.next();
        let kind = self.kinds.pick(&mut self.chance);
        let tenant = self.tenants.as_ref().map_or(0, |tenants| tenants.pick(&mut self.chance));
        let row = match &mut self.rows {
            Some(rows) if self.fills[kind] => rows.take(&mut self.chance),
            _ => 0,
        };
        Some(Job {
            due: began + arrival.at,
            stage: arrival.stage as u16,
            kind: kind as u16,
            tenant: tenant as u32,
            row,
            late: Duration::ZERO,
            found: Found::Busy,
        })
    }

    /// Ends the arrivals; whether there would have been more.
    pub(super) fn stop(&mut self) -> bool {
        self.next.take().is_some()
    }

    /// A kind, a tenant and a row for a request besides the schedule.
    pub(super) fn extra(&mut self, now: Instant) -> Job {
        let kind = self.kinds.pick(&mut self.chance);
        let tenant = self.tenants.as_ref().map_or(0, |tenants| tenants.pick(&mut self.chance));
        let row = self.rows.as_mut().map_or(0, |rows| rows.take(&mut self.chance));
        Job {
            due: now,
            stage: 0,
            kind: kind as u16,
            tenant: tenant as u32,
            row,
            late: Duration::ZERO,
            found: Found::Free,
        }
    }
}

impl Weighted {
    fn new(weights: impl Iterator<Item = f64>) -> Self {
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    fn pick(&self, chance: &mut fastrand::Rng) -> usize {
        let [first @ .., all] = self.sums.as_slice() else { return 0 };
        if first.is_empty() {
            return 0;
        }
        let point = chance.f64() * all;
        // The last one is whatever is not before it: rounding must not lead beyond.
        first.partition_point(|sum| *sum <= point)
    }
}

impl Rows {
    fn new(data: &Data, worker: usize, workers: usize) -> Self {
        Self { order: data.order(), count: data.rows() as u64, next: worker as u64, step: workers as u64 }
    }

    fn take(&mut self, chance: &mut fastrand::Rng) -> u32 {
        match self.order {
            Order::Sampled => chance.u64(..self.count) as u32,
            Order::Cycled => {
                let row = (self.next % self.count) as u32;
                self.next += self.step;
                row
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_shares_of_what_is_chosen() {
        let weighted = Weighted::new([1.0, 7.0, 2.0].into_iter());
        let mut chance = fastrand::Rng::with_seed(1);
        let mut seen = [0; 3];
        (0..100_000).for_each(|_| seen[weighted.pick(&mut chance)] += 1);
        for (seen, share) in seen.into_iter().zip([0.1, 0.7, 0.2]) {
            assert!((f64::from(seen) / 1e5 - share).abs() < 0.01, "{seen} of {share}");
        }
    }
}
