//! The store as its users see it.

mod accepting;
mod configuring;
mod controlling;
mod delivering;
mod jobs;
mod listing;
mod made;
mod model;
mod opening;
