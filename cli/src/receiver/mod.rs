//! The receiver fleet: many real HTTP endpoints in one process, healthy, slow, failing and hanging,
//! that verify every signature and keep exact books of what arrived.
//!
//! It is what the demo delivers to. It is told what to be with one `PUT /plan` on its control port,
//! and ends when its standard input is closed, so that it never outlives who started it.
//!
//! # Invariants
//! - Whether an event arrived at an endpoint is one bit, set only when the signature is good.
//! - Everything is bounded: endpoints, events, connections of a listener, bytes of a body, slices of
//!   latencies.

mod bits;
mod book;
mod control;
mod latencies;
mod plan;
mod run;
mod serve;
mod signature;

pub(crate) use bits::Bits;
pub(crate) use book::Stats;
pub(crate) use control::Latency;
pub(crate) use latencies::Summary;
pub(crate) use plan::{Behaviour, EndpointPlan, Plan};
pub(crate) use run::{Args, Ready, run};

/// Microseconds on the machine's monotonic clock, which all of its processes share: what `sent_at`
/// is in, so that a latency between two processes survives a step of the wall clock.
pub(crate) fn machine_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000) + now.tv_nsec as u64 / 1_000
}
