//! A webhook dispatcher as it is written on the first day, and what `plimsoll demo --story` is about:
//! a task for each endpoint of each event, and nothing that bounds them.
//!
//! It is here to be looked at beside the server, and used for nothing else. Its receivers check what
//! it sends like everybody's.

mod dispatch;
mod run;
mod send;

pub(crate) use run::{Args, Ready, run};
pub(crate) use send::Endpoint;

/// The part of its source that is shown.
pub(crate) const DISPATCH: &str = include_str!("dispatch.rs");
