//! The threads that read.
//!
//! # Invariants
//! - A read is one call on one thread within one transaction: it sees one state of the file, and
//!   no snapshot outlives it.
//! - Deliveries have a lane of their own: a long list asked for through the API holds up other
//!   lists, never a delivery.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use plimsoll::Name;
use rusqlite::{Connection, Result};
use tokio::sync::oneshot;

use super::host::failure;
use crate::Error;
use crate::queue::{Haste, Limits, Patience, Queue, Size};
use crate::stats::Counters;

/// Reads that wait or run in one lane.
const READS: Limits = Limits { calls: 256, bytes: 256, waiting: 16_384 };
const ONE: Size = Size { operations: 1, bytes: 0 };
const WHENEVER: Patience = Patience { first: Duration::MAX, company: Duration::ZERO };

/// For what is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Routing tables, fan-out, due work.
    Delivery,
    /// What people and their programs ask for.
    Api,
}

impl Lane {
    /// One thread each.
    pub(super) const READERS: usize = 2;
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The queues to the threads that read.
#[derive(Clone)]
pub(crate) struct Lanes {
    delivery: Arc<Queue<Read>>,
    api: Arc<Queue<Read>>,
}

/// The threads; dropping them lets them finish what was asked, and joins them.
pub(super) struct Readers {
    pub(super) lanes: Lanes,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Runs `read` on the thread of the lane.
    ///
    /// # Cancel safety
    /// Dropped, the read may still run; nobody sees what it found.
    pub(crate) async fn read<T, F>(&self, lane: Lane, read: F) -> std::result::Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let queue = match lane {
            Lane::Delivery => &self.delivery,
            Lane::Api => &self.api,
        };
        let (answer, answered) = oneshot::channel();
        let call = move |connection: &Connection| {
            // The caller may have gone while this waited.
            if !answer.is_closed() {
                let _gone = answer.send(snapshot(connection, read).map_err(|error| failure(&error)));
            }
        };
        queue.push(Box::new(call), ONE, Haste::Now).await?;
        answered.await.unwrap_or(Err(Error::Closed))
    }

    pub(crate) fn close(&self) {
        self.delivery.close();
        self.api.close();
    }
}

/// Runs `read` within one transaction.
fn snapshot<T>(connection: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let found =
        catch_unwind(AssertUnwindSafe(|| read(connection))).unwrap_or(Err(rusqlite::Error::UnwindingPanic));
    let ended = connection.prepare_cached("COMMIT")?.execute([]);
    if ended.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    found
}

/// Starts a thread per lane.
pub(super) fn start(connections: Vec<Connection>, counters: &Arc<Counters>) -> std::io::Result<Readers> {
    let queue = |name: &str| {
        let name = Name::new(name).map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(Queue::new(name, READS, Box::new(Vec::new)))
    };
    let lanes = Lanes { delivery: queue("store.reads.delivery")?, api: queue("store.reads.api")? };
    let mut readers = Readers { lanes, threads: Vec::with_capacity(connections.len()) };
    for (connection, lane) in connections.into_iter().zip([Lane::Delivery, Lane::Api]) {
        let (queue, name) = match lane {
            Lane::Delivery => (&readers.lanes.delivery, "store-delivery"),
            Lane::Api => (&readers.lanes.api, "store-api"),
        };
        let (queue, counters) = (Arc::clone(queue), Arc::clone(counters));
        // plimsoll: allow(thread-per-item) two: a reader for each lane
        let thread = Builder::new().name(name.into()).spawn(move || {
            while let Some(reads) = queue.take(ONE, WHENEVER) {
                for read in reads {
                    (read.call)(&connection);
                    counters.read();
                }
            }
        })?;
        readers.threads.push(thread);
    }
    Ok(readers)
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.lanes.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader's thread panicked");
            }
        }
    }
}
