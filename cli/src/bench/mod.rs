//! `plimsoll bench`: the real server under load. Webhooks are measured beside what the same receivers
//! and senders do with no server in between; jobs with workers that do nothing but say that they did.
//!
//! # Invariants
//! - The server and the receivers are processes of their own; the senders are in this one. All three
//!   share the machine, so what is not the server is kept cheap: requests are written once and
//!   changed in place, and the receiver reads no more of them than it counts.
//! - Every accepted event must arrive at every endpoint, and every accepted job be done once; what is
//!   lost fails the benchmark, however fast it was.
//! - Latencies by a clock count from the moment when an event was due.

mod args;
mod ceiling;
mod core;
mod house;
mod jobs;
mod load;
mod message;
mod pace;
mod rates;
mod report;
mod run;
mod scenario;
mod site;

pub(crate) use args::Args;
pub(crate) use run::run;
use run::say;
