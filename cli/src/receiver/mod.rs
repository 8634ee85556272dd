//! The receiver fleet: many real HTTP endpoints in one process, healthy, slow, failing and hanging,
//! that verify every signature and keep exact books of what arrived.
//!
//! It is what the demo and the benchmarks deliver to. It is told what to be with a `PUT /plan` on its
//! control port,
//! and ends when its standard input is closed, so that it never outlives who started it.
//!
//! # Invariants
//! - Whether an event arrived at an endpoint is one bit, set only when the signature is good.
//! - Everything is bounded: endpoints, events, connections of a listener, bytes of a body, slices of
//!   latencies.

mod answer;
mod bits;
mod book;
mod control;
mod counts;
mod latencies;
mod micros;
mod plan;
mod request;
mod run;
mod serve;
mod signature;

pub(crate) use bits::Bits;
pub(crate) use book::Compared;
pub(crate) use control::Latency;
pub(crate) use counts::Stats;
pub(crate) use latencies::Summary;
pub(crate) use micros::machine_micros;
pub(crate) use plan::{Behaviour, EndpointPlan, Plan};
pub(crate) use run::{Args, Ready, raise_descriptors, run};
