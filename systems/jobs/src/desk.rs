//! Writes what is in line, many in one commit; while one commit is under way the next fills.
//!
//! # Invariants
//! - What a commit did takes effect in the schedule by this task, not by whoever asked for it: a
//!   client that goes away half-way leaves nothing half-done.
//! - The end of a claim that nobody waits for is written again until it is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll::clock;
use plimsoll_store::{
    Error, JobEnd, JobId, JobLane, JobRef, JobState, JobWrite, JobWritten, NewJob, UnixMillis,
};
use tokio::sync::oneshot;

use crate::engine::{Engine, end_of, reference};
use crate::schedule::{Assignment, Held, To};

/// Operations and payload bytes in one commit at the most.
const BATCH: usize = 2_048;
const BATCH_BYTES: usize = 16 << 20;
/// Between tries while the store cannot write.
const RETRY: Duration = Duration::from_millis(250);

/// Who waits for what became of a write.
pub(crate) type Answer = oneshot::Sender<Result<JobWritten>>;

/// Writes that belong together, and what follows them.
pub(crate) struct Op {
    pub(crate) writes: Vec<JobWrite>,
    after: After,
}

enum After {
    Added { lane: JobLane, job: JobRef, state: JobState, answer: Answer },
    Claimed { to: To, jobs: Vec<JobRef> },
    Ended { id: JobId, then: Then, answer: Option<Answer> },
    Cancelled { lane: JobLane, job: JobRef, answer: Answer },
    Revived { lane: JobLane, job: JobRef, answer: Answer },
}

/// What follows the end of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// The job is over.
    Over,
    /// It is due then; the second is the time of the end.
    Due(JobRef, UnixMillis),
}

impl Op {
    pub(crate) fn add(new: NewJob, answer: Answer) -> Self {
        let (lane, job, state) = (new.job.lane.clone(), reference(&new.job), new.job.state);
        Self { writes: vec![JobWrite::Add(Box::new(new))], after: After::Added { lane, job, state, answer } }
    }

    pub(crate) fn claim(assignment: Assignment, at: UnixMillis) -> Self {
        let Assignment { to, jobs } = assignment;
        let writes = jobs.iter().map(|job| JobWrite::Claim { id: job.id, at }).collect();
        Self { writes, after: After::Claimed { to, jobs } }
    }

    pub(crate) fn end(held: &Held, end: JobEnd, at: UnixMillis, answer: Option<Answer>) -> Self {
        let then = match &end {
            JobEnd::Done { .. } | JobEnd::Dead { .. } | JobEnd::Poisoned { .. } => Then::Over,
            JobEnd::Retry { due_at, .. } | JobEnd::Lost { due_at, .. } => {
                Then::Due(JobRef { due_at: *due_at, ..held.job }, at)
            }
            JobEnd::Released => Then::Due(held.job, held.job.due_at),
        };
        let id = held.job.id;
        Self { writes: vec![end_of(held, end, at)], after: After::Ended { id, then, answer } }
    }

    pub(crate) fn cancel(
        lane: JobLane,
        job: JobRef,
        times: (UnixMillis, UnixMillis),
        answer: Answer,
    ) -> Self {
        let (at, keep_until) = times;
        let writes = vec![JobWrite::Cancel { id: job.id, at, keep_until }];
        Self { writes, after: After::Cancelled { lane, job, answer } }
    }

    pub(crate) fn revive(lane: JobLane, job: JobRef, answer: Answer) -> Self {
        let writes = vec![JobWrite::Revive { id: job.id, at: job.due_at }];
        Self { writes, after: After::Revived { lane, job, answer } }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self.writes.first() {
            Some(JobWrite::Add(new)) => new.job.payload.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }

    /// Whether nobody is told that it failed, so that it must be made again.
    const fn is_to_be_made_again(&self) -> bool {
        matches!(self.after, After::Ended { answer: None, .. })
    }
}

/// Runs until it is cancelled.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        let mut batch = engine.take(BATCH, BATCH_BYTES);
        if batch.is_empty() {
            engine.settled.notify_waiters();
            engine.write.notified().await;
            continue;
        }
        let writes: Vec<_> = batch.iter().flat_map(|op| op.writes.iter().cloned()).collect();
        match engine.store.write_jobs(engine.claim, writes).await {
            Ok(written) => {
                let mut written = written.into_iter();
                for op in batch {
                    let written: Vec<_> = written.by_ref().take(op.writes.len()).collect();
                    engine.settle(op, Ok(written));
                }
            }
            Err(error) => {
                if let Error::Fenced { .. } = error {
                    tracing::error!(%error, "another process holds this shard: nothing is recorded here");
                    engine.fenced.notify_one();
                    return;
                }
                tracing::warn!(%error, operations = batch.len(), "jobs could not be written");
                let again = batch.extract_if(.., |op| op.is_to_be_made_again()).collect();
                engine.take_back(again);
                for op in batch {
                    engine.settle(op, Err(error.clone()));
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

type Result<T> = std::result::Result<T, Error>;

impl Engine {
    /// What a write came to takes effect, and who waits for it is told.
    fn settle(self: &Arc<Self>, op: Op, written: Result<Vec<JobWritten>>) {
        match op.after {
            After::Claimed { to, jobs } => self.settle_claim(to, jobs, written),
            After::Added { lane, job, state, answer } => {
                let written = only(written);
                self.settle_added(&lane, job, state, &written);
                tell(answer, written);
            }
            After::Ended { id, then, answer } => {
                let written = only(written);
                if let (Some(JobWrite::End { end, .. }), Ok(JobWritten::Done)) = (op.writes.first(), &written)
                {
                    self.metrics.ended(end);
                }
                self.settle_ended(id, then, written, answer);
            }
            After::Cancelled { lane, job, answer } => {
                let written = only(written);
                if let Ok(JobWritten::Done) = written {
                    self.metrics.cancelled.fetch_add(1, Ordering::Relaxed);
                    self.act(|schedule| schedule.cancelled(&lane, &job));
                }
                tell(answer, written);
            }
            After::Revived { lane, job, answer } => {
                let written = only(written);
                self.act(|schedule| match written {
                    Ok(JobWritten::Done) => schedule.offer(&lane, job),
                    _ => schedule.over(&lane.owner()),
                });
                tell(answer, written);
            }
        }
    }

    fn settle_added(&self, lane: &JobLane, job: JobRef, state: JobState, written: &Result<JobWritten>) {
        match written {
            Ok(JobWritten::Done) => {
                self.metrics.accepted.fetch_add(1, Ordering::Relaxed);
                if state == JobState::Ready {
                    self.act(|schedule| schedule.offer(lane, job));
                } else {
                    self.due_at(job.due_at);
                }
            }
            _ => self.lock().over(&lane.owner()),
        }
    }

    fn settle_claim(self: &Arc<Self>, to: To, jobs: Vec<JobRef>, written: Result<Vec<JobWritten>>) {
        use crate::schedule::Then as Next;
        let mut claimed = Vec::new();
        match written {
            Ok(written) => {
                for (job, written) in jobs.into_iter().zip(written) {
                    match written {
                        JobWritten::Claimed(job) => claimed.push(*job),
                        JobWritten::Later => {
                            self.act(|schedule| schedule.not_claimed(job.id, Next::Ready(job)));
                        }
                        _ => self.act(|schedule| schedule.not_claimed(job.id, Next::Nothing)),
                    }
                }
            }
            // Whoever waits is told that there is nothing, and asks again.
            Err(_) => self.act(|schedule| {
                jobs.into_iter().for_each(|job| schedule.not_claimed(job.id, Next::Ready(job)));
            }),
        }
        self.give(to, claimed);
    }

    fn settle_ended(&self, id: JobId, then: Then, written: Result<JobWritten>, answer: Option<Answer>) {
        match &written {
            // Already: the commit before was durable though its answer was an error.
            Ok(JobWritten::Done | JobWritten::Already) => {
                self.act(|schedule| self.follow(schedule, id, then));
            }
            // It has ended otherwise: by somebody's hand.
            Ok(_) => self.act(|schedule| schedule.ended(id, crate::schedule::Then::Nothing)),
            Err(_) => self.act(|schedule| schedule.not_ended(id, clock::now())),
        }
        if let Some(answer) = answer {
            tell(answer, written);
        }
    }
}

fn only(written: Result<Vec<JobWritten>>) -> Result<JobWritten> {
    written.map(|mut written| written.pop().unwrap_or(JobWritten::NotSo))
}

fn tell(answer: Answer, written: Result<JobWritten>) {
    // Nobody waits any more: the client went away, what it asked for was done.
    let _ = answer.send(written);
}

#[cfg(test)]
mod tests {
    use plimsoll_store::{Options, Store};

    use super::*;
    use crate::schedule::{Poll, Worker};
    use crate::settings::Settings;
    use crate::{Jobs, NewWork};

    #[tokio::test]
    async fn an_end_that_was_durable_though_reported_failed_frees_its_place_in_the_backlog() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Options { directory: directory.path().into() }).await.unwrap();
        let jobs = Jobs::builder(store, Settings::default()).start().await.unwrap();
        let job = jobs.submit(NewWork::new("t", "work", "1")).await.unwrap().job().clone();
        let engine = &jobs.core.engine;
        let org = job.lane.org();
        let worker = Worker::Remote(org.into(), "w".into());
        let poll = Poll { org: org.into(), worker, kinds: vec!["work".into()], max: 1 };
        let (_, given) = engine.poll(poll).unwrap();
        let (claimed, _) = given.await.unwrap().pop().unwrap();
        let held = engine.lock().ending(claimed.id, claimed.claims).unwrap();
        let op = Op::end(&held, engine.done(), 0, None);
        engine.settle(op, Ok(vec![JobWritten::Already]));
        assert_eq!(engine.lock().census().unfinished, 0);
    }
}
