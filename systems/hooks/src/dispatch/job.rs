//! What is handed to a delivery, what comes back, and the bounds in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use plimsoll::{Outcome, breaker};
use plimsoll_store::{AppId, AttemptState, DueWork, EndpointId, Org, Trigger, UnixMillis};

use super::destination::{DestinationId, Terms};
use super::envelope::Envelope;
use crate::routing::Target;

/// Both clocks, read together once per operation: one for waiting, one for the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) unix: UnixMillis,
}

/// The wall clock of a schedule: it follows one that is set forward, and runs on where one is set
/// back. Work that was due stays due: who sets a clock back by an hour must not wait an hour for it.
pub(crate) struct Clock {
    /// Milliseconds by which the wall clock was ahead of the monotonic one, at the most.
    ahead: AtomicI64,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self { ahead: AtomicI64::new(i64::MIN) }
    }

    pub(crate) fn now(&self) -> Now {
        Self::shown(&self.ahead, clock::now(), unix_millis())
    }

    fn shown(ahead: &AtomicI64, at: Instant, unix: UnixMillis) -> Now {
        let monotonic = i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let by = unix.saturating_sub(monotonic);
        let most = ahead.fetch_max(by, Ordering::Relaxed).max(by);
        Now { at, unix: monotonic.saturating_add(most) }
    }
}

impl Now {
    /// The instant at which the wall clock will show `unix`, if nobody sets it.
    pub(crate) fn instant_of(self, unix: UnixMillis) -> Instant {
        self.at + Duration::from_millis(u64::try_from(unix - self.unix).unwrap_or(0))
    }

    /// What the wall clock will show at `at`.
    pub(crate) fn unix_of(self, at: Instant) -> UnixMillis {
        self.unix.saturating_add(i64::try_from((at - self.at).as_millis()).unwrap_or(i64::MAX))
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> UnixMillis {
    plimsoll_store::wall_clock()
}

/// The bounds of the schedule.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Deliveries at once, in all.
    pub(crate) concurrency: usize,
    /// Payload bytes in memory, in all.
    pub(crate) window_bytes_total: usize,
    /// First tries that wait for one tenant's endpoints together, while any of them can be served.
    pub(crate) tenant_first_tries: usize,
    /// Steps that may wait for their commit before deliveries wait for it.
    pub(crate) unrecorded: usize,
    pub(crate) breaker: breaker::Policy,
    /// Deliveries at once that may be retries, in all.
    pub(crate) retries: usize,
    pub(crate) destinations: Terms,
}

/// A delivery to make now.
pub(crate) struct Job {
    pub(crate) app: AppId,
    pub(crate) org: Org,
    pub(crate) target: Arc<Target>,
    pub(crate) message: Arc<Envelope>,
    pub(crate) work: Work,
    /// The place it takes at the endpoint's breaker.
    pub(crate) permit: Option<breaker::OwnedPermit>,
    pub(crate) place: Place,
}

/// What a delivery takes at its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// `None` where the endpoint's URL leads nowhere.
    pub(crate) destination: Option<DestinationId>,
    /// How many were under way there with it.
    pub(crate) in_flight: usize,
    pub(crate) began: Instant,
}

impl Job {
    pub(crate) fn endpoint(&self) -> EndpointId {
        self.target.endpoint.id
    }

    pub(crate) const fn trigger(&self) -> Trigger {
        match &self.work {
            Work::First { .. } => Trigger::Scheduled,
            Work::Due(work) => work.id.trigger,
        }
    }

    pub(crate) const fn class(&self) -> Class {
        match &self.work {
            Work::First { .. } => Class::First,
            Work::Due(work) => Class::of(work),
        }
    }

    /// The number of its priority.
    pub(crate) fn priority(&self) -> u8 {
        match &self.work {
            Work::First { .. } => self.message.priority as u8,
            Work::Due(work) => work.priority,
        }
    }

    /// The number of this attempt, from 1.
    pub(crate) const fn number(&self) -> u32 {
        match &self.work {
            Work::First { .. } => 1,
            Work::Due(work) => work.tries + 1,
        }
    }
}

/// Of so many deliveries one is a retry, where both wait: first tries go first, but not for ever.
pub(crate) const FIRST_TRIES_IN_A_ROW: u32 = 15;

/// Which of two queues work waits in: what was tried before waits for what was not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Class {
    /// First tries, those that went over the disk and those that were asked for by hand included.
    First = 0,
    Retry = 1,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::First, Self::Retry];

    pub(crate) const fn of(work: &DueWork) -> Self {
        match work.id.trigger {
            Trigger::Scheduled if work.tries > 0 => Self::Retry,
            Trigger::Scheduled | Trigger::Manual => Self::First,
        }
    }
}

/// Where a delivery comes from.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// From the fan-out: the endpoint's sequence.
    First { sequence: u64 },
    /// From what is due.
    Due(DueWork),
}

/// How a delivery went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) began: UnixMillis,
    pub(crate) took: Duration,
    /// 0 where there was no complete head of an answer.
    pub(crate) status: u16,
    pub(crate) response: Vec<u8>,
    pub(crate) then: Then,
    /// For the endpoint's breaker.
    pub(crate) outcome: Outcome,
    /// For the destination: a failure tells of too much load.
    pub(crate) strain: Outcome,
    pub(crate) verdict: Verdict,
}

/// What the answer says of the endpoint, beside this delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Nothing,
    /// It takes less for now: nothing is sent to it for so long, where it said how long.
    Slow(Option<Duration>),
    /// It is not there any more, and says so.
    Gone,
}

/// What follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    End(AttemptState),
    RetryIn(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_runs_on_and_one_that_is_set_forward_is_followed() {
        let (ahead, begun) = (AtomicI64::new(i64::MIN), Instant::from_nanos(7_000_000_000));
        let shown = |after: u64, unix| Clock::shown(&ahead, begun + Duration::from_secs(after), unix).unix;
        assert_eq!(shown(0, 1_000_000), 1_000_000);
        assert_eq!(shown(1, 1_001_000), 1_001_000);
        assert_eq!(shown(2, 2_000), 1_002_000, "set back, it runs on");
        assert_eq!(shown(3, 5_000_000), 5_000_000, "set forward, it follows");
        assert_eq!(shown(4, 1_004_000), 5_001_000);
    }
}
