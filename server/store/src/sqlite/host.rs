//! The threads of a store, from opening to closing.
//!
//! # Invariants
//! - The files are opened, used and closed by these threads alone; no task ever blocks on them.
//! - The committer's thread ends last: it takes the readers down, then closes the file it writes,
//!   then gives the directory back.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use plimsoll::Name;
use rusqlite::ErrorCode;
use tokio::sync::{oneshot, watch};

use super::call::Call;
use super::committer::Committer;
use super::open;
use super::reader::{self, Lane, Lanes};
use super::write_back::WriteBack;
use super::{backlog, failing, idempotency};
use crate::disk::Disk;
use crate::queue::{Limits, Queue};
use crate::stats::Counters;
use crate::{Error, OpenError};

/// What may be on its way into the file.
const COMMITS: Limits = Limits { calls: 1_024, bytes: 64 * 1024 * 1024, waiting: 16_384 };

/// A store that is open.
pub(crate) struct Host {
    pub(crate) commits: Arc<Queue<Call>>,
    pub(crate) reads: Lanes,
    pub(crate) counters: Arc<Counters>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) buckets: idempotency::Published,
    pub(crate) backlog: backlog::Published,
    pub(crate) failing: failing::Published,
    pub(crate) history_days: Arc<AtomicU32>,
    pub(crate) epoch: u64,
    ended: watch::Receiver<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Opened {
    reads: Lanes,
    buckets: idempotency::Published,
    backlog: backlog::Published,
    failing: failing::Published,
    history_days: Arc<AtomicU32>,
    epoch: u64,
}

impl Host {
    /// Starts the threads and opens the files.
    pub(crate) async fn open(directory: PathBuf) -> Result<Self, OpenError> {
        let failed = |path: &PathBuf, message: String| OpenError::Engine { path: path.clone(), message };
        let counters = Arc::new(Counters::default());
        let commits = {
            let name = Name::new("store.commits").map_err(|error| failed(&directory, error.to_string()))?;
            let counters = Arc::clone(&counters);
            Queue::new(name, COMMITS, Box::new(move || counters.details()))
        };
        let name = Name::new("store.disk").map_err(|error| failed(&directory, error.to_string()))?;
        let disk = Disk::new(name, directory.clone());
        let (opened, opening) = oneshot::channel();
        let (ending, ended) = watch::channel(());
        let thread = {
            let (path, commits, counters) = (directory.clone(), Arc::clone(&commits), Arc::clone(&counters));
            Builder::new()
                .name("store-committer".into())
                .spawn(move || {
                    // Dropped last: who waits for the end finds the directory given back.
                    let _ending = ending;
                    serve(path, &commits, &counters, opened);
                })
                .map_err(|source| OpenError::Directory { path: directory.clone(), source })?
        };
        let opened = match opening.await {
            Ok(opened) => opened?,
            Err(_) => return Err(failed(&directory, "the committer's thread panicked".into())),
        };
        let thread = Mutex::new(Some(thread));
        let Opened { reads, buckets, backlog, failing, history_days, epoch } = opened;
        Ok(Self {
            commits,
            reads,
            counters,
            disk,
            buckets,
            backlog,
            failing,
            history_days,
            epoch,
            ended,
            thread,
        })
    }

    /// Lets nobody in any more, finishes what is inside and waits until the files are closed.
    pub(crate) async fn close(&self) {
        self.commits.close();
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
        self.join();
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the committer's thread panicked");
        }
    }
}

impl Drop for Host {
    /// Finishes what is inside, too: a store that is dropped has given its directory back.
    fn drop(&mut self) {
        self.commits.close();
        self.reads.close();
        self.join();
    }
}

/// The committer's thread.
fn serve(
    directory: PathBuf,
    commits: &Arc<Queue<Call>>,
    counters: &Arc<Counters>,
    opened: oneshot::Sender<Result<Opened, OpenError>>,
) {
    let _abandon = AbandonOnDrop(commits);
    let files = match open::open(&directory, Lane::READERS, counters) {
        Ok(files) => files,
        Err(error) => {
            let _gone = opened.send(Err(error));
            return;
        }
    };
    // Dropped after everything else here.
    let _lock = files.lock;
    let reads = match reader::start(files.readers, counters) {
        Ok(reads) => reads,
        Err(source) => {
            let _gone = opened.send(Err(OpenError::Directory { path: directory, source }));
            return;
        }
    };
    let write_back = match WriteBack::start(files.helper) {
        Ok(write_back) => write_back,
        Err(source) => {
            let _gone = opened.send(Err(OpenError::Directory { path: directory, source }));
            return;
        }
    };
    let (buckets, backlog) = (files.known.buckets.published(), files.known.backlog.published());
    let failing = files.known.failing.published();
    let (reads_of, epoch) = (reads.lanes.clone(), files.epoch);
    let history_days = Arc::clone(&files.known.history_days);
    let answer = Opened { reads: reads_of, buckets, backlog, failing, history_days, epoch };
    let committer =
        Committer::new(files.writer, write_back, files.known, Arc::clone(commits), Arc::clone(counters));
    // Who waited for the opening may have gone: then nobody closes the store but we.
    if opened.send(Ok(answer)).is_ok() {
        let connection = committer.run();
        drop(reads);
        drop(connection);
    }
}

struct AbandonOnDrop<'a>(&'a Queue<Call>);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What callers are told of a failure of the engine.
pub(crate) fn failure(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DiskFull,
        _ => Error::Engine(error.to_string().into()),
    }
}
