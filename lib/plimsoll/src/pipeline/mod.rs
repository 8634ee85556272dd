//! Stages with their own workers, bounded between.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::pipeline::Pipeline;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! let import = Pipeline::builder("import")
//!     .ordered()
//!     .items((0..10).map(|n| n.to_string()))
//!     .stage("parse", 4, |line: String| async move { line.parse::<u32>() })
//!     .batch(3, Duration::from_millis(100))
//!     .stage("store", 1, |rows: Vec<u32>| async move {
//!         tokio::time::sleep(Duration::from_millis(20)).await;
//!         Ok(rows.len())
//!     })
//!     .build()?;
//! let monitor = import.monitor();
//! assert_eq!(import.collect().await?, [3, 3, 3, 1]);
//!
//! let report = monitor.report();
//! assert_eq!(report.bottleneck().unwrap().name.as_str(), "store");
//! assert_eq!(report.stage("store").unwrap().busy, Duration::from_millis(80));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | one step, over a list or a stream | [`map`](mod@crate::map) |
//! | several steps that go on at once, each with as many workers as it needs | a [`Pipeline`] |
//! | a step that computes rather than waits | a `cpu_stage`, on the threads of a `CpuPool` (feature `cpu`) |
//! | jobs that come from many places, for as long as the process lives | a [`Pool`](crate::pool::Pool) |
//!
//! Compared to stages of `futures::stream::buffered`, which all live in one task and stop while its
//! consumer is busy, every worker here is a task: stages run in parallel, and a timer or permit in one
//! does not wait for another to be polled.
//!
//! # Bounds
//!
//! Between two stages there are at most as many items as the [queue](Builder::queue) is long, and in a
//! stage as many as it has workers. A full queue stops the stage before it, and so on to the source,
//! which is not asked for an item that there is no room for. [Order](Builder::ordered) needs no
//! buffer beyond the queues.
//!
//! # How it ends
//!
//! When the source has ended and all items are through; or with the first error, which ends all
//! stages (unless it goes to the [dead letters](Stages::dead_letters)); or with the first panic, which
//! is resumed where the pipeline is run, after all stages have ended; or when what runs it is dropped.
//! In every case but the first, what is in the pipeline is dropped, and in every case no task is left;
//! only what a thread of a CPU pool has begun to compute ends in its own time.
//!
//! # Which stage is the bottleneck?
//!
//! A worker is busy, blocked (the next stage is full) or starved (nothing comes). The time that it
//! spends on each is counted, and [`Report::bottleneck`] names the stage whose workers are busy for the
//! largest share of the run. That is the one to give more workers.

#[cfg(feature = "cpu")]
mod compute;
mod error;
mod line;
mod link;
mod meter;
mod report;
mod run;
mod stages;
mod worker;

#[cfg(test)]
mod tests;

pub use error::{DeadLetter, Error};
pub use report::{Report, StageReport};
pub use run::{Monitor, Pipeline, Running};
pub use stages::{Builder, Stages};
