//! Listening: a bound on connections, on what a connection may take its time with, and an end.
//!
//! # Invariants
//! - At the bound the listener stops accepting: one connection more waits to be served, then the
//!   system's queue, then the clients.
//! - Every connection is a task of a group that [`Listener::serve`] owns and drains; when the drain's
//!   deadline has passed it ends those that are left.
//! - No failure to accept and no panic of a handler ends the listener.

mod accept;
mod connection;
mod counts;
mod service;
mod taking;

pub use accept::{BindError, Listener, Options, Served};
pub use counts::Counts;
