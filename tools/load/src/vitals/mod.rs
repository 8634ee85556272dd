//! The target's own numbers: read from its Prometheus page, or by the system from its process.

mod page;
mod process;
mod source;
mod reading;

pub use source::Source;
pub use reading::Vitals;
