//! One attempt to deliver: connect to an allowed address, send, read the answer, all within one
//! deadline.
//!
//! # Invariants
//! - The address is checked on every connection, after it was resolved, IP literals included.
//! - Open sockets never exceed the budget: a socket's permit lives as long as the socket.
//! - What is read off a socket is bounded for each exchange, whatever becomes of it.
//! - No task of its own: a connection is driven by the attempt that uses it, so that dropping the
//!   attempt ends it, and an idle connection costs a socket and nothing else.

mod address;
mod client;
mod connection;
#[cfg(test)]
mod hostile;
mod idle;
mod metered;
mod names;
mod target;
mod tls;

pub(crate) use address::AddressPolicy;
pub(crate) use client::{Answer, Client, Failure, Settings};
pub(crate) use target::{Destination, Prepared};
pub use tls::TlsError;
pub(crate) use tls::connector;
