//! `plimsoll bench`: the real server, the receivers and the senders, measured beside what the same
//! receivers and senders do with no server in between.
//!
//! # Invariants
//! - The server and the receivers are processes of their own; the senders are in this one. All three
//!   share the machine, so what is not the server is kept cheap: requests are written once and
//!   changed in place, and the receiver reads no more of them than it counts.
//! - Every accepted event must arrive at every endpoint; what is lost fails the benchmark, however
//!   fast it was.
//! - Latencies by a clock count from the moment when an event was due.

mod args;
mod ceiling;
mod core;
mod house;
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
