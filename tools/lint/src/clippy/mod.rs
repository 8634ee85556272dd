//! What only types tell: clippy resolves the calls that the sources alone do not, through re-exports,
//! macros and fields, and says where they are.

mod callee;
mod config;
mod join;
mod message;
mod resolve;
mod run;
mod workspace;

pub use join::lint_tree_with_types;
pub use message::ResolvedCall;
pub use resolve::ResolvedCalls;
pub use run::{ClippyError, resolved};
