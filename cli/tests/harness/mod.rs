//! The real binary as a child process, and real receivers in this one.
#![expect(dead_code, reason = "shared with the binary by path; a test uses a part of it")]

#[path = "../../src/client/mod.rs"]
pub(crate) mod client;
mod receivers;
mod server;
#[path = "../../src/receiver/signature.rs"]
mod signature;

pub(crate) use receivers::{Delivery, Receivers, Reply, SECRET};
pub(crate) use server::{Server, make, token};
