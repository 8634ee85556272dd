//! Decides what is delivered next, and delivers it.
//!
//! `schedule` is a pure state machine (`tenant`, `lane`, `window`, `destination` and `outbox` are its parts,
//! `loads`, `endings` and `alarms` what it does);
//! `engine` holds it behind one lock and moves it: slots deliver, the recorder commits what
//! happened, loaders read what waits on disk, a timer wakes what is parked.
//!
//! # Lock order
//! The schedule's lock is taken alone and never across an await; nothing is locked under it but the
//! routing table.

mod alarms;
mod attempt;
mod destination;
mod endings;
mod engine;
mod envelope;
mod handout;
mod job;
mod lane;
mod loader;
mod loads;
mod metrics;
mod outbox;
mod ready;
mod recorder;
mod rings;
mod schedule;
mod standing;
mod tenant;
mod waiting;
mod window;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub(crate) use attempt::Attempter;
pub(crate) use destination::{For, Terms};
pub(crate) use endings::Gone;
pub(crate) use engine::{Arrival, Dispatch, View};
pub(crate) use envelope::Envelope;
pub(crate) use job::Limits;
pub(crate) use job::unix_millis;
pub(crate) use metrics::{BUCKETS_MS, Histogram};
pub(crate) use standing::Standing;
