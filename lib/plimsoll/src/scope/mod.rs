//! Labels, a deadline and cancellation, inherited by every child.
//!
//! A [`Scope`] says for whom work is done (labels), until when it is worth doing (a deadline) and
//! whether anybody still wants it (cancellation). It is local to a task; tasks started by a
//! [`Group`](crate::group::Group) and jobs submitted to a [`Pool`](crate::pool::Pool) inherit the
//! scope they were started in. [`header`] takes labels and deadline across the edges of the process.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::scope::{self, Scope};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let work = async { scope::current().label_value("tenant").map(str::to_owned) };
//! let tenant = Scope::new().label("tenant", "acme").deadline_in(Duration::from_millis(800)).run(work).await;
//! assert_eq!(tenant, Ok(Some("acme".to_owned())));
//! # });
//! ```
//!
//! # Invariants
//! - A nested deadline can only shorten: the earlier one counts.
//! - A scope carries at most [`LABELS_MAX`] labels, a key or value at most [`LABEL_BYTES_MAX`] bytes.
//! - What runs in a scope is dropped before [`Scope::run`] returns.

mod ended;
mod handle;
pub mod header;
mod inside;
mod labels;
mod run;
mod values;
mod within;

#[cfg(test)]
mod tests;

pub use ended::Ended;
pub use handle::{Scope, current, value};
pub use labels::{LABEL_BYTES_MAX, LABELS_MAX};
pub use run::{Enter, Run};

pub(crate) use handle::{ended_now, inherited, inherited_deadline};
pub(crate) use inside::Inside;
#[cfg(feature = "cpu")]
pub(crate) use within::enter_now;
pub(crate) use within::{Stop, enter, within};
