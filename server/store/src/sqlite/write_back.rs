//! Writing the log back into the table file, so that it is used from its beginning again.
//!
//! # Invariants
//! - The bulk is written back by a thread of its own beside the commits; the committer writes back
//!   only what was committed meanwhile, and with that the log begins again.
//! - A log that outgrows [`PAGES_MAX`] while the thread works makes the committer wait for it: the
//!   log is bounded, however fast is written and however slow the disk.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, Result};

/// Pages of the log (8 MiB) from which on it is written back.
const PAGES: u64 = 2_048;
/// Pages that the log may grow to (64 MiB).
const PAGES_MAX: u64 = 16_384;

/// The committer's side of the thread that writes back; dropping it joins the thread.
pub(super) struct WriteBack {
    begin: Option<SyncSender<()>>,
    done: Receiver<()>,
    working: bool,
    thread: Option<JoinHandle<()>>,
}

impl WriteBack {
    /// Starts the thread, which has a connection of its own.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (begin, beginnings) = sync_channel(1);
        let (finished, done) = sync_channel(1);
        let thread = Builder::new().name("store-write-back".into()).spawn(move || {
            while beginnings.recv().is_ok() {
                if let Err(error) = write_back(&connection) {
                    tracing::warn!(%error, "the log could not be written back; it grows until it can");
                }
                if finished.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { begin: Some(begin), done, working: false, thread: Some(thread) })
    }

    /// To be asked after each commit: whether the thread is done and the
    /// rest is to be written back.
    pub(super) fn rest_is_due(&mut self, pages: u64) -> bool {
        if self.working {
            self.working = if pages < PAGES_MAX {
                matches!(self.done.try_recv(), Err(TryRecvError::Empty))
            } else {
                // A thread that has gone has done what it could.
                let _done_or_gone = self.done.recv();
                false
            };
            return !self.working;
        }
        if pages < PAGES {
            return false;
        }
        self.working = self.begin.as_ref().is_some_and(|begin| begin.try_send(()).is_ok());
        // Without a thread all of it is the committer's.
        !self.working
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes back panicked");
        }
    }
}

/// Writes back what can be without anybody waiting.
pub(super) fn write_back(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
