//! A load test carried out: the load, the target's numbers, the judge and the screen brought together.

mod connections;
mod phases;
mod quiet;
mod search;
mod verdict;
mod view;
mod watch;

pub use phases::Trial;
pub use search::find_bound;
pub use view::{Part, Show, View};
