//! Whether an error is worth another try.

use std::time::Duration;

use crate::{Reason, Rejected};

/// Whether an error is worth another try.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Try again after the policy's delay.
    Retry,
    /// Try again after this long at the earliest, as the other side asked for.
    RetryAfter(Duration),
    /// Another try would fail the same way, or do harm.
    GiveUp,
}

/// An error that knows whether it is worth another try.
///
/// Say [`Decision::Retry`] only where the operation may safely run twice.
pub trait Retryable {
    /// Whether to try again.
    fn decision(&self) -> Decision;
}

/// What a limiter rejects is worth another try when its `retry_after` is over, or after the
/// policy's delay where it gives none; but not what can never be admitted, nor when a budget is
/// spent, a drain has begun, or the deadline is too near: later it is nearer.
impl Retryable for Rejected {
    fn decision(&self) -> Decision {
        match (self.reason(), self.retry_after()) {
            (
                Reason::TooLarge
                | Reason::Misconfigured
                | Reason::BudgetSpent
                | Reason::Draining
                | Reason::DeadlineTooNear,
                _,
            ) => Decision::GiveUp,
            (_, Some(after)) => Decision::RetryAfter(after),
            (_, None) => Decision::Retry,
        }
    }
}
