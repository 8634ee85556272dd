//! The store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::queue::{Haste, Size};
use crate::sqlite::{Call, Host, Weigh, Write};
use crate::*;

/// Messages that one call accepts.
const MESSAGES_MAX: usize = 1_024;
/// Bytes of messages that one call accepts.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Steps that one call records.
const PROGRESS_MAX: usize = 8_192;
/// Changes that one call makes.
const CHANGES_MAX: usize = 256;
/// Bytes of an answer that is remembered.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made, for its owner only, where it is missing.
    pub directory: PathBuf,
}

/// A durable store; cheap to clone, all clones are one store.
///
/// Dropping the last clone finishes what was asked for and closes the files, on the thread that
/// drops it; [`close`](Self::close) does it without blocking one.
///
/// # Cancel safety
/// A write whose future is dropped while it waits for a place is not made; once it has one it is
/// made, whoever waits. Which of the two it was can be found out by making it again: repeating a
/// write changes nothing. A read whose future is dropped had no effect.
///
/// # Fairness
/// Writes are made in the order in which they came. Reads wait for other reads of their lane only:
/// fan-out, due work and routing tables in one, everything else in the other.
#[derive(Clone)]
pub struct Store {
    pub(crate) host: Arc<Host>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("epoch", &self.host.epoch).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the store in its directory, and claims its shards.
    ///
    /// # Errors
    /// [`OpenError`] says in whose hands the directory is, or what is wrong with it.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        Ok(Self { host: Arc::new(Host::open(options.directory).await?) })
    }

    /// The shards that this process may write to.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        vec![Claim { shard: 0, epoch: self.host.epoch }]
    }

    /// The claim of the shard that an application lives in.
    #[must_use]
    pub fn claim_of(&self, _app: AppId) -> Claim {
        Claim { shard: 0, epoch: self.host.epoch }
    }

    /// So many bytes of the data directory's file system are to stay free: with less, no message is
    /// accepted, until there is an eighth more. It holds from now on; 0, as at first, is no bound.
    ///
    /// What is left is for the deliveries of what was accepted, which are recorded all the same.
    pub fn keep_free(&self, bytes: u64) {
        self.host.disk.keep_free(bytes);
    }

    /// Messages and their attempts go so many days after the message was accepted, from now on; 0, as
    /// at first, is never. What is pending stays, however old.
    pub fn keep_history(&self, days: u32) {
        self.host.history_days.store(days, Ordering::Relaxed);
    }

    /// Whether something new may be taken in, as [`accept`](Self::accept) asks of itself.
    ///
    /// # Errors
    /// [`Error::DiskLow`].
    pub fn room(&self) -> Result<(), Error> {
        self.host.disk.room_for(0)
    }

    /// What was written and how long it took.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.host.disk.look();
        let (disk_free_bytes, disk_free_bytes_min) = (self.host.disk.free(), self.host.disk.min());
        Stats { disk_free_bytes, disk_free_bytes_min, ..self.host.counters.stats() }
    }

    /// Finishes what was begun and closes the files.
    ///
    /// # Cancel safety
    /// Dropped, it goes on by itself; calling it again waits for the end.
    pub async fn close(&self) {
        self.host.close().await;
    }

    /// Accepts messages: one answer each, in order. At most 1,024 messages and 32 MiB a call.
    ///
    /// # Errors
    /// With any error nothing of the call was written; with [`Error::DiskLow`] for want of room.
    pub async fn accept(&self, claim: Claim, messages: Vec<NewMessage>) -> Result<Vec<Accepted>, Error> {
        let size = messages.weigh();
        at_most("messages", messages.len(), MESSAGES_MAX)?;
        at_most("bytes", size.bytes, MESSAGE_BYTES_MAX)?;
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        self.host.disk.room_for(size.bytes)?;
        self.write(claim, size, Haste::Now, |caller| Write::Accept(messages, caller)).await
    }

    /// Records what happened, in order, in one commit. At most 8,192 steps and 64 MiB a call.
    ///
    /// Nobody is kept waiting by it, so it waits about as long as a commit takes, a few milliseconds
    /// at the most, for one that others wait for, and goes with that.
    ///
    /// # Errors
    /// With any error nothing of the call was written.
    pub async fn record(&self, claim: Claim, progress: impl Into<Arc<[Progress]>>) -> Result<(), Error> {
        let progress = progress.into();
        at_most("steps", progress.len(), PROGRESS_MAX)?;
        if progress.is_empty() {
            return Ok(());
        }
        let size = progress.weigh();
        self.write(claim, size, Haste::Patient, |caller| Write::Record(progress, caller)).await
    }

    /// Changes what is configured: one answer each, in order, in one commit; where one is refused the
    /// others hold, but for [`Change::Remember`]. At most 256 changes a call.
    ///
    /// # Errors
    /// With any error nothing of the call was written.
    pub async fn change(&self, claim: Claim, changes: Vec<Change>) -> Result<Vec<Changed>, Error> {
        at_most("changes", changes.len(), CHANGES_MAX)?;
        for change in &changes {
            match change {
                Change::Remember { body, .. } => {
                    at_most("bytes of an answer", body.len(), ANSWER_BYTES_MAX)?;
                }
                Change::StepTask { messages, .. } => {
                    at_most("messages of a step", messages.len(), CHANGES_MAX)?;
                }
                _ => {}
            }
        }
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let size = changes.weigh();
        self.write(claim, size, Haste::Now, |caller| Write::Change(changes, caller)).await
    }

    pub(crate) async fn write<T>(
        &self,
        claim: Claim,
        size: Size,
        haste: Haste,
        write: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Write,
    ) -> Result<T, Error> {
        let (caller, answer) = oneshot::channel();
        self.host.commits.push(Call { claim, write: write(caller) }, size, haste).await?;
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

/// Refuses what is larger than a call may be.
pub(crate) const fn at_most(what: &'static str, got: usize, limit: usize) -> Result<(), Error> {
    if got <= limit { Ok(()) } else { Err(Error::TooLarge { what, got, limit }) }
}
