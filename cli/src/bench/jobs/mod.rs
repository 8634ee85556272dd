//! `plimsoll bench jobs`: submitters and workers at the real server, over HTTP as anybody's.
//!
//! # Invariants
//! - One book has every job of the whole run, and the workers work until its end: what is lost in one
//!   pass or given out again in a later one is counted.
//! - Nobody crashes here, so a job that is claimed twice is as wrong as one that is never done.

mod book;
mod job;
mod measure;
mod report;
mod workers;
mod yard;

pub(super) use measure::measure;
