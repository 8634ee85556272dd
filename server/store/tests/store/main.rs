//! The store as its users see it.

mod accepting;
mod configuring;
mod delivering;
mod listing;
mod made;
mod model;
mod opening;
