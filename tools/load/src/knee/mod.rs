//! Finds how much a target can take: ramps in steps until it bends, and says how sure that is.
//!
//! [`Search`] is the state machine that says which step comes next; [`Finding`] is the bound
//! that they make, or says why there is none. Neither knows of the network.

mod answer;
mod estimate;
mod search;
mod step;

#[cfg(test)]
mod tests;

pub use estimate::{Bound, Finding, Interval, Law, NoBound};
pub use search::{Next, Search, Settings};
pub use step::{Bend, Measured, Outcome, Step};
