//! Recording what happened.

use rusqlite::{OptionalExtension, Result, Row, params};

use super::backlog::left;
use super::encode;
use super::group::Group;
use crate::{
    AppId, AttemptState, DeadLetterId, DueWork, EndpointId, MessageId, NewAttempt, Next, Progress,
    UnixMillis, WorkId, WorkKind,
};

impl Group<'_> {
    pub(super) fn record(&mut self, progress: &[Progress]) -> Result<()> {
        for step in progress {
            match step {
                Progress::Attempted(attempt) => self.attempted(attempt)?,
                Progress::Deferred(work) => self.deferred(work)?,
                Progress::Dropped(work) => self.dropped(*work)?,
                Progress::Advanced { app, message, frontier } => self.advanced(*app, *message, *frontier)?,
                Progress::Finished { app, message } => self.finished(*app, *message)?,
            }
        }
        Ok(())
    }

    fn attempted(&mut self, attempt: &NewAttempt) -> Result<()> {
        // The purge finds attempts by the messages of the application: none may come behind it.
        if !self.app_lives(attempt.app)? {
            return Ok(());
        }
        let (state, due_at) = match attempt.next {
            Next::End(state) => (state, None),
            Next::Retry { due_at } if self.endpoint_lives(attempt.app, attempt.endpoint)? => {
                (AttemptState::Retrying, Some(due_at))
            }
            Next::Retry { .. } => (AttemptState::Failed, None),
        };
        let mut number = attempt.number;
        if !self.insert_attempt(attempt, number, state)? {
            let Some(free) = self.next_free_number(attempt)? else { return Ok(()) };
            number = free;
            self.insert_attempt(attempt, number, state)?;
        }
        self.died_or_lives(attempt, number)?;
        self.note_health(attempt, state)?;
        let work = WorkId::delivery(attempt.message, attempt.endpoint, attempt.trigger);
        match due_at {
            None => self.settle(attempt.app, work),
            Some(due_at) => {
                let NewAttempt { app: tenant, priority, number: tries, .. } = *attempt;
                self.put_due(&Due { work, tenant, due_at, priority, tries }, Put::Move)
            }
        }
    }

    /// Since when an endpoint fails is told by its attempts, but for those that failed by our fault.
    fn note_health(&mut self, attempt: &NewAttempt, state: AttemptState) -> Result<()> {
        match state {
            AttemptState::Succeeded => self.failing.ended(self.connection, attempt.endpoint),
            AttemptState::Faulted => Ok(()),
            AttemptState::Retrying | AttemptState::Exhausted | AttemptState::Failed => {
                if !self.endpoint_lives(attempt.app, attempt.endpoint)? {
                    return Ok(());
                }
                self.failing.failed(self.connection, attempt.app, attempt.endpoint, attempt.at)
            }
        }
    }

    fn insert_attempt(&mut self, attempt: &NewAttempt, number: u32, state: AttemptState) -> Result<bool> {
        let inserted = self.statements.insert_attempt.on(self.connection)?.execute(params![
            attempt.message.as_bytes(),
            attempt.endpoint.as_bytes(),
            number,
            attempt.id.as_bytes(),
            attempt.at,
            attempt.duration_ms,
            attempt.status_code,
            state as u8,
            attempt.trigger as u8,
            &*attempt.url,
            attempt.response,
        ])?;
        Ok(inserted > 0)
    }

    /// The first number from the attempt's own on that is free; `None` where the attempt is there.
    fn next_free_number(&self, attempt: &NewAttempt) -> Result<Option<u32>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, id FROM attempts WHERE message = ?1 AND endpoint = ?2 AND number >= ?3 \
             ORDER BY number",
        )?;
        let mut rows = statement.query(params![
            attempt.message.as_bytes(),
            attempt.endpoint.as_bytes(),
            attempt.number
        ])?;
        let mut free = attempt.number;
        while let Some(row) = rows.next()? {
            if encode::id(row, 1)? == attempt.id.0 {
                return Ok(None);
            }
            if row.get::<_, u32>(0)? == free {
                free += 1;
            }
        }
        Ok(Some(free))
    }

    fn deferred(&mut self, work: &DueWork) -> Result<()> {
        let WorkKind::Delivery = work.id.kind;
        if !self.endpoint_lives(work.tenant, EndpointId(work.id.key))? {
            return Ok(());
        }
        let WorkId { kind, subject, key, trigger } = work.id;
        let inserted = self.statements.insert_due.on(self.connection)?.execute(params![
            kind as u8,
            subject.as_bytes(),
            key.as_bytes(),
            trigger as u8,
            work.tenant.as_bytes(),
            work.due_at,
            work.priority,
            work.tries,
        ])?;
        self.backlog.put_off(work.tenant, inserted);
        Ok(())
    }

    fn settle(&mut self, app: AppId, WorkId { kind, subject, key, trigger }: WorkId) -> Result<()> {
        let keys = params![kind as u8, subject.as_bytes(), key.as_bytes(), trigger as u8];
        let deleted = self.statements.delete_due.on(self.connection)?.execute(keys)?;
        self.backlog.settled(app, deleted as u64);
        Ok(())
    }

    fn dropped(&mut self, WorkId { kind, subject, key, trigger }: WorkId) -> Result<()> {
        let keys = params![kind as u8, subject.as_bytes(), key.as_bytes(), trigger as u8];
        let statement = self.statements.drop_due.on(self.connection)?;
        let tenant = statement.query_row(keys, |row| encode::id(row, 0)).optional()?;
        if let Some(tenant) = tenant {
            self.backlog.settled(AppId(tenant), 1);
            let id = DeadLetterId { message: MessageId(subject), endpoint: EndpointId(key) };
            self.died_of_disabling(AppId(tenant), id)?;
        }
        Ok(())
    }

    pub(super) fn put_due(&mut self, due: &Due, put: Put) -> Result<()> {
        match put {
            Put::Keep => self.insert_due(due).map(drop),
            // What is likely first: a first try has no row yet, a later one has.
            Put::Move if due.tries > 1 => {
                if !self.move_due(due)? {
                    self.insert_due(due)?;
                }
                Ok(())
            }
            Put::Move => {
                if !self.insert_due(due)? {
                    self.move_due(due)?;
                }
                Ok(())
            }
        }
    }

    fn insert_due(&mut self, due: &Due) -> Result<bool> {
        let WorkId { kind, subject, key, trigger } = due.work;
        let inserted = self.statements.insert_due.on(self.connection)?.execute(params![
            kind as u8,
            subject.as_bytes(),
            key.as_bytes(),
            trigger as u8,
            due.tenant.as_bytes(),
            due.due_at,
            due.priority,
            due.tries,
        ])?;
        self.backlog.put_off(due.tenant, inserted);
        Ok(inserted > 0)
    }

    fn move_due(&mut self, due: &Due) -> Result<bool> {
        let WorkId { kind, subject, key, trigger } = due.work;
        let moved = self.statements.move_due.on(self.connection)?.execute(params![
            kind as u8,
            subject.as_bytes(),
            key.as_bytes(),
            trigger as u8,
            due.due_at,
            due.tries,
        ])?;
        Ok(moved > 0)
    }

    fn advanced(&mut self, app: AppId, message: MessageId, frontier: u64) -> Result<()> {
        let keys = params![app.as_bytes(), message.as_bytes()];
        let row = self.statements.fanout.on(self.connection)?.query_row(keys, FanoutRow::of).optional()?;
        let Some(before) = row.filter(|row| row.frontier < frontier) else { return Ok(()) };
        let values = params![app.as_bytes(), message.as_bytes(), encode::stored(frontier)];
        self.statements.advance.on(self.connection)?.execute(values)?;
        let after = FanoutRow { frontier, ..before };
        self.backlog.settled(app, before.left() - after.left());
        Ok(())
    }

    pub(super) fn finished(&mut self, app: AppId, message: MessageId) -> Result<()> {
        let keys = params![app.as_bytes(), message.as_bytes()];
        let row = self.statements.finish.on(self.connection)?.query_row(keys, FanoutRow::of).optional()?;
        if let Some(row) = row {
            self.backlog.settled(app, row.left());
        }
        Ok(())
    }
}

/// How far a fan-out is.
#[derive(Clone, Copy)]
struct FanoutRow {
    deliveries: u64,
    ceiling: u64,
    frontier: u64,
}

impl FanoutRow {
    fn of(row: &Row<'_>) -> Result<Self> {
        let count = |column| encode::count(row, column);
        Ok(Self { deliveries: count(0)?, ceiling: count(1)?, frontier: count(2)? })
    }

    fn left(self) -> u64 {
        left(self.deliveries, self.ceiling, self.frontier)
    }
}

/// Due work to be put.
pub(super) struct Due {
    pub(super) work: WorkId,
    pub(super) tenant: AppId,
    pub(super) due_at: UnixMillis,
    pub(super) priority: u8,
    pub(super) tries: u32,
}

/// What happens to work that is due already.
#[derive(Clone, Copy)]
pub(super) enum Put {
    /// It is moved.
    Move,
    /// It stays as it is.
    Keep,
}
