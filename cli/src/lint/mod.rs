//! `plimsoll lint`: what a code base has without a bound, told, gated and counted over time.

mod args;
mod judge;
mod progress;
mod report;
mod run;

pub(crate) use args::Args;
pub(crate) use run::run;
