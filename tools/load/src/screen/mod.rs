//! Shows a trial while it goes on: drawn on a terminal, a line a second elsewhere.

mod draw;
mod output;
mod plain;

pub use output::{Output, Screen};
