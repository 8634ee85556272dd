//! The generator's account of itself: was it the limit, or the target?

mod ceiling;
mod server;
mod verdict;

pub use ceiling::{Ceiling, ceiling};
pub use server::Server;
pub use verdict::{Limit, SelfCheck};

#[cfg(test)]
mod tests;
