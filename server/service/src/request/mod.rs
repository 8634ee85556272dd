//! Requests, read with every problem told at its place: what the interfaces of all systems share.

pub mod body;
pub mod key;
pub mod problems;
pub mod query;
pub mod timestamp;
