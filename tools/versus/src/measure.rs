//! Processor time per operation.

use std::time::Duration;

use plimsoll::clock;
use rustix::time::{ClockId, clock_gettime};

use crate::pair::Bench;

/// How much processor time a pass takes: long against the tick (4 ms) by which the books of the other
/// threads may be behind, short against what else the machine does.
const PASS: Duration = Duration::from_millis(25);
/// A pass takes no less time than this, whatever is booked: what is booked for a short one is mostly the
/// one before it.
const PASS_TIME_MIN: Duration = Duration::from_millis(6);
/// The least number of passes, whatever the time.
const PASSES_MIN: u32 = 3;
/// Where the search for the length of a pass ends.
const OPERATIONS_MAX: u64 = 1 << 32;

/// Nanoseconds of processor time per operation, ours and theirs: of as many passes in turns as fit into
/// `budget`, the one that a fiftieth of them are faster than. Not the least: what one pass did may be
/// booked for the next.
pub(crate) fn compare(ours: &mut Bench, theirs: &mut Bench, budget: Duration) -> (f64, f64) {
    let end = clock::now() + budget;
    let mut sides = [Side::new(ours), Side::new(theirs)];
    let mut passes = 0;
    while passes < PASSES_MIN || clock::now() < end {
        // Who goes second finds a warmer machine: take turns at that, too.
        for turn in 0..2 {
            sides[(passes as usize + turn) % 2].pass();
        }
        passes += 1;
    }
    let [ours, theirs] = sides;
    (ours.low(), theirs.low())
}

struct Side<'a> {
    bench: &'a mut Bench,
    operations: u64,
    passes: Vec<f64>,
}

impl<'a> Side<'a> {
    /// Warms up, and finds how many operations make a pass.
    fn new(bench: &'a mut Bench) -> Self {
        let mut operations = 64;
        while operations < OPERATIONS_MAX {
            let begin = clock::now();
            if processor_time(bench, operations) >= PASS && clock::now() - begin >= PASS_TIME_MIN {
                break;
            }
            operations *= 2;
        }
        Self { bench, operations, passes: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]
    fn pass(&mut self) {
        let spent = processor_time(self.bench, self.operations);
        self.passes.push(spent.as_nanos() as f64 / self.operations as f64);
    }

    fn low(mut self) -> f64 {
        self.passes.sort_unstable_by(f64::total_cmp);
        self.passes.get(self.passes.len() / 50).copied().unwrap_or(f64::NAN)
    }
}

fn processor_time(bench: &mut Bench, operations: u64) -> Duration {
    let before = now();
    bench(operations);
    now().saturating_sub(before)
}

/// What all threads of this process have used.
fn now() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn what_does_a_hundred_times_as_much_costs_more() {
        let work = |times: u64| -> Bench {
            Box::new(move |operations| {
                for n in 0..operations * times {
                    black_box(n);
                }
            })
        };
        let (ours, theirs) = compare(&mut work(1), &mut work(100), Duration::ZERO);
        assert!(theirs > ours, "{ours} {theirs}");
    }
}
