//! Whether a queue stands; pure: it is told the time.

use std::time::Duration;

use crate::clock::Instant;

/// Whether one queue stands, by how long those that leave it have waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// Since when everything that left has waited longer than the target, no two of them an interval
    /// apart.
    above_since: Option<Instant>,
    /// When the last left that had.
    above_last: Instant,
    standing: bool,
}

/// How long anybody may wait while the queue stands, and at other times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Times {
    pub(super) target: Duration,
    pub(super) interval: Duration,
}

/// How somebody left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// It was answered after it had waited so long; at once, after no time at all.
    After(Duration),
    /// It had waited as long as it may.
    InVain,
}

impl Delay {
    pub(super) const fn new() -> Self {
        Self { above_since: None, above_last: Instant::from_nanos(0), standing: false }
    }

    /// Somebody has left.
    pub(super) fn leaves(&mut self, now: Instant, left: Left, times: Times) {
        self.standing = self.stands(now, times);
        if matches!(left, Left::After(waited) if waited <= times.target) {
            self.above_since = None;
            return;
        }
        // The queue has been empty when nobody left it for an interval: what was before is another matter.
        if now - self.above_last >= times.interval {
            self.above_since = None;
        }
        self.above_last = now;
        let since = *self.above_since.get_or_insert(now);
        self.standing |= now - since >= times.interval;
    }

    /// Whether somebody who leaves at once changes nothing, whatever the times are.
    pub(super) const fn is_quiet(&self) -> bool {
        !self.standing && self.above_since.is_none()
    }

    /// Not any more once nobody waited longer than the target for an interval.
    pub(super) fn stands(&self, now: Instant, times: Times) -> bool {
        self.standing && now - self.above_last < times.interval
    }

    /// How long anybody may wait.
    pub(super) fn patience(&self, now: Instant, times: Times) -> Duration {
        if self.stands(now, times) { times.target } else { times.interval }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: Duration = Duration::from_millis(5);
    const INTERVAL: Duration = Duration::from_millis(100);
    const TIMES: Times = Times { target: TARGET, interval: INTERVAL };

    #[test]
    fn two_who_waited_with_a_long_quiet_between_them_are_not_a_queue_that_stands() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut delay = Delay::new();
        delay.leaves(at(0), Left::InVain, TIMES);
        delay.leaves(at(600_000), Left::InVain, TIMES);
        assert!(!delay.stands(at(600_000), TIMES), "it was empty for ten minutes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// The model looks back over all that left.
        #[test]
        fn a_queue_stands_from_an_interval_above_the_target_until_an_interval_without(
            events in prop::collection::vec((prop_oneof![9 => 0u64..60, 1 => 60u64..250], 0u64..9), 1..100),
        ) {
            let mut delay = Delay::new();
            let (mut now, mut left, mut standing) = (0u64, Vec::<(u64, bool)>::new(), false);
            for (step, waited) in events {
                now += step;
                let at = Instant::from_nanos(now * 1_000_000);
                let last = left.iter().rev().find(|(_, above)| *above).map(|(then, _)| *then);
                standing &= last.is_some_and(|last| now - last < 100);
                prop_assert_eq!(delay.stands(at, TIMES), standing);
                prop_assert_eq!(delay.patience(at, TIMES), if standing { TARGET } else { INTERVAL });

                let above = waited == 0 || waited > 5;
                let how = if waited == 0 { Left::InVain } else { Left::After(Duration::from_millis(waited)) };
                delay.leaves(at, how, TIMES);
                left.push((now, above));
                let mut next = now;
                let run = left.iter().rev().take_while(|(then, above)| {
                    let goes_on = *above && next - then < 100;
                    next = *then;
                    goes_on
                });
                standing |= run.last().is_some_and(|(since, _)| now - since >= 100);
                prop_assert_eq!(delay.stands(at, TIMES), standing);
            }
        }
    }
}
