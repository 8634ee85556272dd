//! `plimsoll demo`: the real server and a fleet of real receivers as child processes, events
//! through the public HTTP API, `kill -9` half-way, and at the end the books of both sides
//! compared.
//!
//! # Invariants
//! - An event counts as accepted only on its 202; while nobody knows, it is sent again with the same
//!   idempotency key, so it counts once.
//! - What was delivered is what the receivers have in their books, not what the server says; the
//!   server is believed only about what did not arrive, dead or pending, and what neither side
//!   accounts for is lost.
//! - The children end and the data directory goes however the demo ends.

mod args;
mod audit;
mod load;
mod play;
mod report;
mod run;
mod sample;
mod screen;
mod shape;

pub(crate) use args::Args;
pub(crate) use run::run;
