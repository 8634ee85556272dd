//! How many files and sockets the process may have open, and for what.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, the log, the admin listener and the runtime may need.
const HEADROOM: u64 = 128;
/// The fewest for each direction that are worth starting with.
const EACH_MIN: u64 = 16;
/// Where the system sets no limit we still count on no more.
const TOTAL_MAX: u64 = 1 << 20;

/// Descriptors, shared out; the shares add up to no more than the total.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// What the system allows this process.
    pub total: u64,
    /// For the store and all else that is not a socket of a customer.
    pub headroom: u64,
    /// For connections to us.
    pub inbound: u64,
    /// For connections to destinations.
    pub outbound: u64,
}

/// What is wished for, if there are enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Connections to us.
    pub inbound: u64,
    /// Connections to destinations.
    pub outbound: u64,
}

/// The system allows too few to begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooFew {
    total: u64,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, needed) = (self.total, HEADROOM + 2 * EACH_MIN);
        write!(f, "the system allows {total} open files, at least {needed} are needed: raise ulimit -n")
    }
}

impl std::error::Error for TooFew {}

/// Raises the soft limit to the hard one, and tells what is then allowed.
///
/// Where the system refuses, the soft limit stays and is what is told.
pub fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(TOTAL_MAX).min(TOTAL_MAX)
}

impl Budget {
    /// Shares `total` out: what is wanted if there is enough, else each its part in proportion.
    ///
    /// ```
    /// use plimsoll_service::descriptors::{Budget, Wanted};
    /// let budget = Budget::split(1_024, Wanted { inbound: 4_096, outbound: 4_096 })?;
    /// assert_eq!((budget.headroom, budget.inbound, budget.outbound), (128, 448, 448));
    /// # Ok::<(), plimsoll_service::descriptors::TooFew>(())
    /// ```
    ///
    /// # Errors
    /// When there are not even 160.
    pub fn split(total: u64, wanted: Wanted) -> Result<Self, TooFew> {
        let free = total.saturating_sub(HEADROOM);
        if free < 2 * EACH_MIN {
            return Err(TooFew { total });
        }
        let (inbound, outbound) = (wanted.inbound.max(1), wanted.outbound.max(1));
        let sum = inbound.saturating_add(outbound);
        if sum <= free {
            return Ok(Self { total, headroom: total - sum, inbound, outbound });
        }
        let part = u128::from(free) * u128::from(inbound) / u128::from(sum);
        let part = u64::try_from(part).unwrap_or(free).clamp(EACH_MIN, free - EACH_MIN);
        // Nobody gets more than it wanted: what one does not want is the other's.
        let inbound = part.min(inbound);
        let outbound = (free - inbound).min(outbound);
        Ok(Self { total, headroom: total - inbound - outbound, inbound, outbound })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_shares_add_up_and_nobody_is_left_out(total: u64, inbound: u64, outbound: u64) {
            let wanted = Wanted { inbound, outbound };
            if let Ok(budget) = Budget::split(total, wanted) {
                let sum = u128::from(budget.headroom) + u128::from(budget.inbound) + u128::from(budget.outbound);
                prop_assert_eq!(sum, u128::from(total));
                prop_assert!(budget.headroom >= HEADROOM && budget.inbound >= 1 && budget.outbound >= 1);
                prop_assert!(budget.inbound <= inbound.max(1) && budget.outbound <= outbound.max(1));
            } else {
                prop_assert!(total < HEADROOM + 2 * EACH_MIN);
            }
        }
    }

    #[test]
    fn what_is_wanted_is_given_when_there_is_enough() {
        let budget = Budget::split(20_000, Wanted { inbound: 4_096, outbound: 4_096 }).unwrap();
        assert_eq!((budget.inbound, budget.outbound, budget.headroom), (4_096, 4_096, 11_808));
    }

    #[test]
    fn too_few_are_refused_with_the_number_that_is_needed() {
        let refused = Budget::split(100, Wanted { inbound: 1, outbound: 1 }).unwrap_err().to_string();
        assert!(refused.contains("100") && refused.contains("160"), "{refused}");
    }

    #[test]
    fn after_raising_the_soft_limit_is_the_hard_one() {
        let allowed = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(allowed, limit.current.unwrap_or(TOTAL_MAX).min(TOTAL_MAX));
    }
}
