//! Durable background jobs: accepted over HTTP or from a program, done by handlers of this process or
//! by workers in any language over HTTP, with bounds on everything that can pile up.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll_jobs::{Claimed, Failure, Jobs, NewWork, settings::Settings};
//! use plimsoll_store::{Options, Store};
//! use std::time::Duration;
//!
//! let directory = tempfile::tempdir()?;
//! let store = Store::open(Options { directory: directory.path().into() }).await?;
//!
//! let (sent, mut mails) = tokio::sync::mpsc::channel(16);
//! let send = move |job: Claimed| {
//!     let sent = sent.clone();
//!     async move {
//!         let text = String::from_utf8(job.payload).map_err(|_| Failure::new("not a text").for_good())?;
//!         sent.send(format!("{}: {text}", job.tenant)).await.map_err(|_| Failure::new("nobody reads"))
//!     }
//! };
//! // At most eight at once; fair between tenants, whatever each has waiting.
//! let jobs = Jobs::builder(store, Settings::default()).handler("mail.send", 8, send).start().await?;
//!
//! // Durable when it returns: the job is done even if the process is killed now.
//! jobs.submit(NewWork::new("acme", "mail.send", "hello")).await?;
//! assert_eq!(mails.recv().await.as_deref(), Some("acme: hello"));
//!
//! jobs.drain(Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! - A job that was accepted is on disk. It is done at least once, or kept as dead; a process or a
//!   worker that is killed loses none.
//! - A job is with one worker at a time. A slow worker keeps it for as long as it is heard of; one
//!   that is not loses it, and whatever it says later is refused.
//! - Nothing in memory grows with what waits: bounded windows of so many tenants and kinds are in
//!   memory, the rest on disk.

mod api;
mod background;
mod clock;
mod core;
mod desk;
mod engine;
mod handler;
mod metrics;
mod observe;
mod run;
mod schedule;
pub mod settings;

pub use crate::core::{Builder, Jobs, NewWork, Overload, Priority, StartError, SubmitError, Submitted};
pub use crate::handler::{Claimed, Failure, Handler};
pub use crate::observe::Numbers;

#[cfg(test)]
mod tests;
