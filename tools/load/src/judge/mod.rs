//! Whether a bound holds: three phases around it, what must hold in each, and who decides that.
//!
//! Below the bound everything must succeed; above it, what is too much must be refused early and told
//! when to come again, while what is admitted is served as fast as promised; after it, the target must
//! be as it was. [`Terms`] say how much is asked, [`Judge`] decides from what is seen.

mod assertion;
mod bench;
mod evidence;
mod terms;
mod verdicts;

#[cfg(test)]
mod tests;

pub use assertion::{Assertion, State, Verdict};
pub use bench::{Judge, Looked, Process, Tenancy, Then};
pub use evidence::When;
pub use terms::{MINUTES, NAMES, Terms};
pub use verdicts::Quiet;
