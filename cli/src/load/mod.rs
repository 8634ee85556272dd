//! `plimsoll load`: a load test of anybody's service. The flags become a plan; all else is
//! plimsoll-load's.

mod args;
mod plan;
mod run;

pub(crate) use args::Args;
pub(crate) use run::run;
