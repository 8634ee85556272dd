//! What an operator sees: logs, and numbers as a Prometheus page.

mod bounds;
mod load;
mod log;
mod metrics;
mod process;

pub use load::Load;
pub use log::{InvalidFilter, init_logs};
pub use metrics::{Metrics, Page};
