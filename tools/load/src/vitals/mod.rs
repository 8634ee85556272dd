//! The target's own numbers: read from its Prometheus page, or by the system from its process.

mod page;
mod process;
mod reading;
mod source;

pub use reading::Vitals;
pub use source::Source;
