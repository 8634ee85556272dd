//! What only types tell: clippy resolves the calls that the sources alone do not, through re-exports,
//! macros and fields, and says where they are.

mod callee;
mod config;
mod message;
mod run;
mod workspace;

pub use run::{ClippyError, resolved};
