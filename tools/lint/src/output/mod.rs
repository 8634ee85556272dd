//! What a run found, as text: for a person, for a program, for what reads SARIF, for GitHub.

mod excerpt;
mod github;
mod human;
mod json;
mod plain;
mod sarif;
mod style;
mod summary;

pub use github::github;
pub use human::{Show, human};
pub use json::json;
pub use sarif::sarif;
pub use style::Style;
pub use summary::{Outcome, Summary};

pub(crate) use plain::plain;
