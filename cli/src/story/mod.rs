//! `plimsoll demo --story`: why there is a load line. One customer with 5,000 endpoints, and two
//! dispatchers with the same memory on the same load: one that starts a task for each delivery, and
//! the server.
//!
//! # Invariants
//! - Both get the same events at the same times, have the same memory, and deliver to fleets that are
//!   alike; neither shares its fleet with the other.
//! - What is told is what was measured: if the dispatcher without a bound survives, that is told.

mod draw;
mod play;
mod report;
mod run;
mod sample;
mod screen;
mod sides;

pub(crate) use run::run;
