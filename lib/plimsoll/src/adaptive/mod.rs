//! The limit finds itself: concurrency limited by what is measured, not by what is guessed.

mod aimd;
mod algorithm;
mod builder;
mod gradient2;
mod handle;
mod knee;
mod permit;
mod queue;
mod state;
#[cfg(test)]
mod tests;
mod vegas;
mod window;
mod windowed;

pub use aimd::Aimd;
pub use algorithm::{Algorithm, Sample};
pub use builder::Builder;
pub use gradient2::Gradient2;
pub use handle::Adaptive;
pub use knee::Knee;
pub use permit::{OwnedPermit, Permit};
pub use vegas::Vegas;
pub use windowed::Windowed;
