//! Durable, multi-tenant webhook fan-out: accepts messages over HTTP, makes them durable, delivers
//! them signed to every endpoint that wants them, and keeps one slow, dead or enormous customer
//! from costing the others anything.
//!
//! # Invariants
//! - 202 only after the commit; what was accepted is delivered or kept as dead, never forgotten.
//! - Nothing in memory grows with the backlog: a bounded window per application waits in memory,
//!   the rest on disk.
//! - Every task belongs to a group or pool that is drained; no task is started twice for one
//!   delivery, however slow it is.

mod api;
mod backlog;
mod core;
mod deliver;
mod direct;
mod disable;
mod dispatch;
mod health;
mod intake;
mod observe;
pub mod overrides;
pub mod policy;
mod release;
mod replay;
mod routing;
pub mod settings;
mod sign;

pub use crate::core::{Hooks, Host, StartError};
pub use crate::deliver::TlsError;
pub use crate::direct::Direct;
pub use crate::observe::Numbers;

#[cfg(test)]
mod tests;
