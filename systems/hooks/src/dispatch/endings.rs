//! What follows when a delivery ends: what is recorded, learned, and given back.

use std::sync::Arc;

use plimsoll::Outcome;
use plimsoll_store::{AppId, AttemptId, AttemptState, EndpointId, MessageId, NewAttempt, Next, Progress};

use super::job::{Class, Job, Now, Report, Then, Verdict, Work};
use super::outbox::Release;
use super::schedule::Schedule;
use super::tenant::earliest;

/// Responses and URLs in one commit: a quarter of what the store takes.
const COMMIT_BYTES: usize = 16 << 20;

/// An endpoint that said that it is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Gone {
    pub(crate) app: AppId,
    pub(crate) endpoint: EndpointId,
    /// Where that was said.
    pub(crate) url: String,
}

impl Schedule {
    /// A delivery ended.
    pub(crate) fn done(&mut self, mut job: Job, report: Report, now: Now) {
        if let Some(permit) = job.permit.take() {
            permit.finish(report.outcome);
        }
        let (app, endpoint, message) = (job.app, job.endpoint(), job.message.id);
        self.learn(&job, &report, now);
        let retry_at = match report.then {
            Then::End(_) => None,
            Then::RetryIn(after) => {
                Some(now.unix.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
            }
        };
        let held = match &job.work {
            Work::First { .. } => None,
            Work::Due(work) => Some(work.id),
        };
        let attempt = NewAttempt {
            id: AttemptId::fresh(),
            org: Arc::clone(&job.org),
            app,
            message,
            endpoint,
            number: job.number(),
            at: report.began,
            duration_ms: u32::try_from(report.took.as_millis()).unwrap_or(u32::MAX),
            status_code: report.status,
            response: report.response,
            url: job.target.prepared.as_ref().map_or_else(|| "".into(), |prepared| Arc::clone(&prepared.url)),
            trigger: job.trigger(),
            priority: job.priority(),
            next: match report.then {
                Then::End(state) => Next::End(state),
                Then::RetryIn(_) => Next::Retry { due_at: retry_at.unwrap_or(now.unix) },
            },
        };
        let release = match (held, retry_at) {
            (None, None) => Release::Nothing,
            (work, due_at) => Release::Due { app, endpoint, work, due_at },
        };
        self.outbox.push(Progress::Attempted(Box::new(attempt)), release);
        self.ended(&job, report.strain, now);
    }

    /// What a delivery says of its endpoint and of its destination.
    fn learn(&mut self, job: &Job, report: &Report, now: Now) {
        let (app, endpoint) = (job.app, job.endpoint());
        if let (Some(id), Class::Retry, Then::End(AttemptState::Succeeded)) =
            (job.place.destination, job.class(), report.then)
        {
            self.destinations.give_back(id);
        }
        let lane = self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint));
        let Some(lane) = lane else { return };
        // It was changed meanwhile: what the old one said is not held against the new one.
        if lane.target.endpoint.url != job.target.endpoint.url {
            return;
        }
        let known = lane.is_gone() || !lane.is_open();
        lane.learn(report.verdict, report.outcome, job.place.began, self.random.f64(), now);
        if report.verdict == Verdict::Gone && !known {
            self.gone.push_back(Gone { app, endpoint, url: job.target.endpoint.url.clone() });
            self.signals.gone = true;
        }
    }

    /// An endpoint that said that it is gone, if there is one that was not looked at.
    pub(crate) fn next_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    /// A delivery was cut short by the end of the process: nothing is recorded, so that it is made
    /// again by the next.
    pub(crate) fn abandoned(&mut self) {
        self.in_flight -= 1;
        self.signals.idle |= self.in_flight == 0;
    }

    fn ended(&mut self, job: &Job, strain: Outcome, now: Now) {
        self.in_flight -= 1;
        let retry = usize::from(job.class() == Class::Retry);
        self.retries -= retry;
        self.signals.idle |= self.in_flight == 0;
        let (app, endpoint) = (job.app, job.endpoint());
        if let Some(tenant) = self.tenants.get_mut(&app) {
            tenant.in_flight -= 1;
            tenant.retries -= retry;
            match &job.work {
                Work::First { sequence } => tenant.settle(job.message.id, *sequence, &mut self.outbox),
                Work::Due(_) => {
                    let bytes = job.message.weight();
                    tenant.due_bytes -= bytes;
                    self.bytes -= bytes;
                }
            }
            if let Some(lane) = tenant.lanes.get_mut(&endpoint) {
                lane.ended();
            }
        }
        if let Some(id) = job.place.destination {
            self.destinations.release(id, strain, job.place.in_flight, now.at);
            // Who waits goes before the endpoint that was just served, and is known while this use is.
            self.wake(id, now);
            self.destinations.leave(id);
        }
        self.wake_loaders();
        self.refresh(app, endpoint, now);
    }

    /// Bytes were given back: what waited for room may be read.
    fn wake_loaders(&mut self) {
        self.signals.load |= !self.due_loads.is_empty() || !self.refills.is_empty();
    }

    /// Steps for one commit, and what they let go of when it is durable.
    pub(crate) fn take_steps(&mut self, steps_max: usize) -> (Vec<Progress>, Vec<Release>) {
        self.outbox.take(steps_max, COMMIT_BYTES)
    }

    /// A commit is durable.
    pub(crate) fn recorded(&mut self, releases: Vec<Release>, now: Now) {
        self.outbox.recorded(releases.len());
        for release in releases {
            match release {
                Release::Nothing => {}
                Release::Due { app, endpoint, work, due_at } => {
                    let Some(lane) =
                        self.tenants.get_mut(&app).and_then(|tenant| tenant.lanes.get_mut(&endpoint))
                    else {
                        continue;
                    };
                    if let Some(work) = work {
                        lane.held.remove(&work);
                    }
                    if due_at.is_some() {
                        lane.on_disk = earliest(lane.on_disk, due_at);
                    }
                    self.refresh(app, endpoint, now);
                }
                Release::Message { app, message } => self.left(app, message, now),
                Release::Away { app, message } => {
                    if let Some(tenant) = self.tenants.get_mut(&app) {
                        tenant.disk = tenant.disk.with_more();
                    }
                    self.left(app, message, now);
                }
            }
        }
        self.wake_loaders();
    }

    /// A message is not in memory any more.
    fn left(&mut self, app: AppId, message: MessageId, now: Now) {
        let Some(tenant) = self.tenants.get_mut(&app) else { return };
        self.bytes -= tenant.window.remove(message);
        self.settle(app, now);
    }
}
