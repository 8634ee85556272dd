//! A run: the plan carried out, seen once a second while it lasts.

mod result;

pub use result::{Generator, Run, Second, Snapshot, StageRun, TenantRun};
