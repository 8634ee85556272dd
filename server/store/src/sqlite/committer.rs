//! The thread that writes: it groups what waits into commits.
//!
//! # Invariants
//! - One thread, one connection: nothing else writes to the file.
//! - A call is answered after the commit that carries it is durable, or with why it was not made.
//! - A group that fails is undone and its calls are tried one by one: a bad call fails alone.
//! - The log is written back after the callers were answered; the purge runs when nobody waits, or
//!   one unit behind every [`OPERATIONS_A_PURGE`] operations, so that it keeps up with what comes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use plimsoll::clock;
use rusqlite::{Connection, Result};

use super::accept::DAY_MS;
use super::backlog::Ledger;
use super::call::{Answer, Call};
use super::failing::FailingLedger;
use super::group::Group;
use super::idempotency::Buckets;
use super::purge::Purge;
use super::schema;
use super::write_back::{WriteBack, write_back};
use crate::UnixMillis;
use crate::fault::{Passage, When};
use crate::queue::{Patience, Queue, Queued, Size};
use crate::stats::{Committed, Counters};
use crate::wall::wall_clock;

/// The most that goes into one commit; a single call may be larger.
const GROUP: Size = Size { operations: 2_048, bytes: 4 * 1024 * 1024 };
/// The longest that what nobody waits for waits to go with what somebody does.
const COMPANY_MAX: Duration = Duration::from_millis(10);
/// A unit of the purge takes away as many rows.
const OPERATIONS_A_PURGE: usize = 256;
/// How often is looked whether something has come to be purged with time.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How long the purge rests after it failed, for instance on a full disk.
const PURGE_REST: Duration = Duration::from_secs(10);

/// What the committer knows of the file without reading it.
pub(super) struct Known {
    pub(super) buckets: Buckets,
    pub(super) backlog: Ledger,
    pub(super) failing: FailingLedger,
    /// Days that messages and attempts are kept; 0 is for ever.
    pub(super) history_days: Arc<AtomicU32>,
}

pub(super) struct Committer {
    connection: Connection,
    known: Known,
    queue: Arc<Queue<Call>>,
    counters: Arc<Counters>,
    write_back: WriteBack,
    purge: Purge,
    operations_since_purge: usize,
    /// How long a commit took lately.
    commit_took: Duration,
}

impl Known {
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        Ok(Self {
            buckets: Buckets::load(connection)?,
            backlog: Ledger::load(connection)?,
            failing: FailingLedger::load(connection)?,
            history_days: Arc::default(),
        })
    }

    /// What was accepted before goes; `None` where everything is kept.
    pub(super) fn history_begins(&self, now: UnixMillis) -> Option<UnixMillis> {
        let days = self.history_days.load(Ordering::Relaxed);
        (days > 0).then(|| now - i64::from(days) * DAY_MS)
    }

    pub(super) fn group<'c>(&'c mut self, connection: &'c Connection) -> Group<'c> {
        Group::new(connection, self)
    }
}

impl Committer {
    pub(super) fn new(
        connection: Connection,
        write_back: WriteBack,
        known: Known,
        queue: Arc<Queue<Call>>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            connection,
            write_back,
            known,
            queue,
            counters,
            purge: Purge::default(),
            operations_since_purge: 0,
            commit_took: Duration::ZERO,
        }
    }

    /// Works until the queue is closed and empty, and gives the connection back.
    pub(super) fn run(mut self) -> Connection {
        let mut purge_at = clock::now();
        loop {
            // A wait as long as a commit saves one where another call comes in it, and where none does
            // costs nobody: a message goes through two commits, and only the first has to be quick.
            let company = (self.commit_took * 2).min(COMPANY_MAX);
            let patience = Patience { first: purge_at - clock::now(), company };
            let Some(calls) = self.queue.take(GROUP, patience) else { return self.connection };
            let idle = calls.is_empty();
            if !idle {
                self.commit(calls);
                self.write_back();
            }
            if self.purge.is_due() {
                // Something was buried: not to be left for the next look.
                purge_at = purge_at.min(clock::now());
            }
            let now = clock::now();
            if purge_at <= now && (idle || self.operations_since_purge >= OPERATIONS_A_PURGE) {
                purge_at = now + self.purge_unit();
            }
        }
    }

    /// Commits a group and answers its calls.
    fn commit(&mut self, calls: Vec<Queued<Call>>) {
        self.operations_since_purge += calls.iter().map(|queued| queued.size.operations).sum::<usize>();
        let passage = self.passage(&calls);
        match self.try_commit(&calls, &passage) {
            Ok(answers) => {
                for (queued, answer) in calls.into_iter().zip(answers) {
                    queued.call.answer(Ok(answer));
                }
                passage.passes(When::After, self.counters.log_pages());
            }
            Err(error) if calls.len() == 1 => {
                self.counters.call_failed();
                tracing::warn!(%error, "a commit failed");
                calls.into_iter().for_each(|queued| queued.call.answer(Err(repeat(&error))));
            }
            Err(error) => {
                self.counters.group_failed();
                tracing::warn!(%error, calls = calls.len(), "a group commit failed: its calls are tried one by one");
                for queued in calls {
                    self.commit_alone(queued);
                }
            }
        }
    }

    fn commit_alone(&mut self, queued: Queued<Call>) {
        let alone = std::slice::from_ref(&queued);
        let answer = self
            .try_commit(alone, &self.passage(alone))
            .and_then(|mut answers| answers.pop().ok_or(rusqlite::Error::QueryReturnedNoRows));
        if answer.is_err() {
            self.counters.call_failed();
        }
        queued.call.answer(answer);
    }

    /// One transaction. On any error, and on a panic, nothing of it holds.
    fn try_commit(&mut self, calls: &[Queued<Call>], passage: &Passage) -> Result<Vec<Answer>> {
        let began = clock::now();
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let in_force = schema::epoch(&self.connection)?;
            let mut group = self.known.group(&self.connection);
            let answers = calls
                .iter()
                .map(|queued| queued.call.apply(&mut group, in_force))
                .collect::<Result<Vec<_>>>()?;
            group.write_backlog()?;
            let buried = group.buried;
            drop(group);
            passage.passes(When::Before, self.counters.log_pages());
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            passage.passes(When::Between, self.counters.log_pages());
            Ok((answers, buried))
        }));
        let committed = applied.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic));
        let (answers, buried) = match committed {
            Ok(done) => done,
            Err(error) => {
                self.undo();
                return Err(error);
            }
        };
        self.known.buckets.committed();
        self.known.backlog.committed();
        self.known.failing.committed();
        if buried {
            self.purge.is_due_now();
        }
        let took = clock::now() - began;
        self.commit_took = (self.commit_took * 7 + took) / 8;
        self.counters.committed(&Committed {
            calls: calls.len(),
            operations: calls.iter().map(|queued| queued.size.operations).sum(),
            bytes: calls.iter().map(|queued| queued.size.bytes).sum(),
            took,
        });
        Ok(answers)
    }

    fn passage(&self, calls: &[Queued<Call>]) -> Passage {
        Passage::of(calls.iter().map(|queued| &queued.call.write), self.counters.log_pages())
    }

    fn undo(&mut self) {
        self.known.buckets.rolled_back();
        self.known.backlog.rolled_back();
        self.known.failing.rolled_back();
        // The engine may have rolled back by itself, as it does on some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Writes the log back into the table file when it has grown, so that it is used from its
    /// beginning again. Readers are short: none holds a part of it for long.
    fn write_back(&mut self) {
        let began = clock::now();
        if !self.write_back.rest_is_due(self.counters.log_pages()) {
            return;
        }
        match write_back(&self.connection) {
            Ok(()) => self.counters.checkpointed(clock::now() - began),
            Err(error) => tracing::warn!(%error, "the log could not be written back; it grows until it can"),
        }
    }

    /// One unit of the purge; how long until the next.
    fn purge_unit(&mut self) -> Duration {
        self.operations_since_purge = 0;
        let now = wall_clock();
        match self.purge.unit(&self.connection, &mut self.known, now) {
            Ok(unit) => {
                self.counters.purged(unit.purged);
                self.write_back();
                if unit.more { Duration::ZERO } else { PURGE_EVERY }
            }
            Err(error) => {
                self.undo();
                tracing::warn!(%error, "the purge failed; it goes on later");
                PURGE_REST
            }
        }
    }
}

/// The error once more, for a caller of its own.
fn repeat(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}
