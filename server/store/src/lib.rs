//! Plimsoll's durable store: apps, endpoints, messages, due work and attempts.
//!
//! The only crate that names an engine. Its interface speaks of the product's nouns; no SQL and no
//! engine type leaves it.
//!
//! # Invariants
//! - Every call is an asynchronous, bounded batch of plain values with ids made by the caller. A
//!   write resolves when it is durable, and repeating it changes nothing.
//! - Nothing borrows a connection, and no read snapshot lives across an await.
//! - Every write carries the [`Claim`] of its shard. A commit under an epoch that has passed is
//!   refused with [`Error::Fenced`].
//! - A message is accepted by one commit: the message, its idempotency entry and one fan-out row.
//! - A fan-out row goes when every endpoint has an attempt or due work of its own. Rows are found
//!   by presence, never by a cursor over sequence numbers.

mod disk;
mod error;
mod fault;
mod id;
mod jobs;
mod queue;
mod read;
mod reads;
mod sqlite;
mod stats;
mod store;
mod values;
mod wall;
mod write;

pub use error::{Error, OpenError};
pub use id::{AppId, AttemptId, EndpointId, Id, JobId, MessageId, ParseIdError, TaskId};
pub use jobs::{
    Job, JobEnd, JobFilter, JobLane, JobOwner, JobPage, JobRef, JobState, JobWrite, JobWritten, NewJob,
};
pub use read::{
    AttemptFilter, DeadLetterFilter, DueKey, FanoutWork, MessageEndpoint, MessageFilter, MessageRef, Missing,
    Order, Page, Reference, Sought, TaskFilter,
};
pub use stats::{COMMIT_SECONDS, Stats};
pub use store::{Options, Store};
pub use values::*;
pub use wall::wall_clock;
pub use write::{
    Accepted, Change, Changed, Claim, Idempotency, NewAttempt, NewMessage, Next, Progress, ResendRequest,
};
