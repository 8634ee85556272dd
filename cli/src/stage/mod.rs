//! What the demo and the benchmarks set up and must take down again: the real server and a fleet of
//! receivers as child processes of this program, on a data directory that is removed.
//!
//! # Invariants
//! - The children end and the data directory goes however the command ends.

mod admin;
mod child;
mod fleet;
mod interrupt;
mod live;
mod memory;
pub(crate) mod number;
mod scene;
mod server;
pub(crate) mod setup;
mod usage;

pub(crate) use admin::{Admin, BoundView, ServerView};
pub(crate) use child::Running;
pub(crate) use fleet::{Fleet, Ports};
pub(crate) use interrupt::interrupted;
pub(crate) use live::Live;
pub(crate) use memory::limit_memory;
pub(crate) use scene::{Bare, Stage};
pub(crate) use usage::Usage;
