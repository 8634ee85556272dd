//! A load test that asks whether a service's bound holds.
//!
//! The load is an *open loop*: requests are due by a [`profile`], whether or not those before them are
//! answered, as real callers come. Every latency counts from the moment at which its request was due,
//! so that what waited behind a stalled server shows with all of its waiting. (A closed loop, in which
//! each connection waits for its answer before it sends again, is slowed down by a slow server, and
//! leaves out the very requests that would have suffered: coordinated omission.)
//!
//! A [`Plan`] says what is sent where and when, [`run`](run()) carries it out. A [`trial`] of a bound
//! brings a run together with the target's own numbers and a [`judge`]; a [`report`] is what is left.

pub mod check;
mod error;
pub mod figure;
pub mod judge;
pub mod knee;
pub mod mix;
mod plan;
mod plot;
pub mod profile;
pub mod report;
pub mod run;
pub mod screen;
pub mod tally;
mod target;
pub mod trial;
pub mod vitals;
mod wire;

pub use error::Error;
pub use plan::{Connections, Plan, Slow, SlowAt};
pub use run::run;
pub use target::{Protocol, Target, Trust};
