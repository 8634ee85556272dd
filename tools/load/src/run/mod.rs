//! A run: the plan carried out, seen once a second while it lasts.

mod books;
mod collect;
mod descriptors;
mod desk;
mod job;
mod result;
mod seat;
mod serve;
mod start;
mod timer;
mod worker;

pub use result::{Generator, ON_TIME, PAUSE, Run, Second, Snapshot, StageRun, TenantRun};
pub use start::{Stop, run, run_until};

#[cfg(test)]
mod tests;
