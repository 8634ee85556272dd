//! How many requests are due when: rates over time, and the arrivals that follow from them.
//!
//! All of it is arithmetic: a profile is a function `Λ(t)`, the arrivals that are due until `t`, and
//! the `n`-th arrival is at the time where `Λ` reaches `n`. A Poisson process of a rate that changes
//! is had the same way, at levels that are a unit apart in the mean and exponentially distributed
//! (time rescaling: Brown et al., Neural Computation 14, 2002).

mod schedule;
mod segment;
mod shape;

pub use schedule::{Arrival, Schedule};
pub use shape::{Arrivals, Profile, Shape, Stage};

#[cfg(test)]
mod tests;
