//! One run of a handler.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{Job, JobEnd, JobId};

use crate::engine::Engine;
use crate::handler::{Claimed, Failure};

/// A claim in the hands of a handler. However it ends, its end is put in line to be written: by the
/// handler's word, by its panic, or because it was cut short.
pub(crate) struct Run {
    engine: Arc<Engine>,
    id: JobId,
    number: u32,
    job: Option<Job>,
    ended: bool,
}

impl Run {
    pub(crate) fn new(engine: Arc<Engine>, job: Job) -> Self {
        Self { engine, id: job.id, number: job.claims, job: Some(job), ended: false }
    }

    pub(crate) async fn run(mut self) {
        let Some(job) = self.job.take() else { return };
        let timeout = Duration::from_millis(job.timeout_ms);
        let engine = Arc::clone(&self.engine);
        let Some(handler) = engine.handlers.get(job.lane.kind()) else { return };
        let outcome = tokio::time::timeout(timeout, handler.run_any(Claimed::from(job))).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::new("it took longer than it may")));
        self.end(|engine, held| match outcome {
            Ok(()) => engine.done(),
            Err(failure) => engine.failed(held, &failure),
        });
    }

    fn end(&mut self, how: impl FnOnce(&Engine, &crate::schedule::Held) -> JobEnd) {
        self.ended = true;
        let held = self.engine.end(self.id, self.number, how, None);
        if let Err(why) = held {
            tracing::error!(job = %self.id, claim = self.number, ?why, "a handler's claim was not its own any more");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.end(|engine, held| engine.crashed(held, "its handler panicked"));
        } else {
            self.end(|_, _| JobEnd::Released);
        }
    }
}
