//! A small HTTP client: one keep-alive connection that its owner drives.
//!
//! It exists for the demo and the crash test, which must tell apart a request that was refused, one
//! that was answered, and one of which nobody knows: that is what a retry with the same idempotency
//! key is for. There is no pool and no task behind it; many connections are many [`Connection`]s.

mod connection;
mod exchange;
pub(crate) mod wire;

pub(crate) use connection::Connection;
pub(crate) use exchange::Error;
