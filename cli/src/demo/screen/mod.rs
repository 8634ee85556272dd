//! Shows the run while it goes on: drawn in place on a terminal, a line a second elsewhere.

mod draw;
mod output;
mod plain;

pub(super) use output::Screen;
