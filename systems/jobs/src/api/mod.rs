//! The HTTP interface: jobs go in, are looked up, cancelled and tried again; workers in any language
//! get them, say that they are alive, and say how it went.
//!
//! # Invariants
//! - A job of another organisation is not there: 404, as if it had never been.
//! - Every list, text and wait of a request has a bound; a refusal names it, its limit and its use.

mod accept;
mod claim;
mod dead;
mod job_out;
mod jobs;
mod read;
mod reply;
mod routes;

pub(crate) use routes::{polls, router};
