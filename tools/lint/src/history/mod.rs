//! How many there were, month by month, read from the history of a repository; and drawn.

mod chart;
mod git;
mod json;
mod month;
mod page;
mod survey;
mod terminal;

pub use git::GitError;
pub use month::Month;
pub use page::page;
pub use survey::{History, Point, Span, Tally, survey};
pub use terminal::terminal;
