//! Listening: a bound on connections, on what a connection may take its time with, and an end.
//!
//! # Invariants
//! - A connection is accepted only when there is a place for it: at the bound the listener stops
//!   accepting, and the system's queue, then the clients, wait.
//! - Every connection is a task that [`Listener::serve`] owns and waits for; when the drain's deadline
//!   has passed it ends those that are left.
//! - No failure to accept and no panic of a handler ends the listener.

mod accept;
mod connection;
mod counts;
mod service;

pub use accept::{BindError, Listener, Options, Served};
pub use counts::Counts;
