//! The store as its users see it.

mod accepting;
mod delivering;
mod made;
mod opening;
