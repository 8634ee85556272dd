//! What is done about jobs that fail: they are tried again, and end as dead letters.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::clockwork::Again;
use super::core::{Core, Done};
use super::entry::{Entry, More};
use super::ticket::{Answer, Answering};
use super::{Cause, DeadLetter, GaveUp, JobError};
use crate::clock;
use crate::retry::{Decision, Policy};
use crate::scope::Scope;

/// How a pool deals with failure. There is none in a pool that neither retries nor keeps letters.
pub(super) struct Failures<J, T> {
    ways: Ways<J, T>,
    retry: Option<Retry<T>>,
    letters: Option<Letters<J, T>>,
    panics_max: u32,
    retried: AtomicU64,
    lettered: AtomicU64,
    lost: AtomicU64,
}

/// What has to be known of jobs and outputs; plain functions, since only the builder knows that a
/// job can be cloned and that an output is a `Result`.
pub(super) struct Ways<J, T> {
    clone: fn(&J) -> J,
    is_failure: fn(&T) -> bool,
}

/// When a failed job is tried again.
pub(super) struct Retry<T> {
    pub(super) policy: Policy,
    classify: Classify<T>,
}

type Classify<T> = Box<dyn Fn(&T) -> Decision + Send + Sync>;

/// Where jobs go that failed for good.
pub(super) struct Letters<J, T> {
    sender: mpsc::Sender<DeadLetter<J>>,
    text_of: fn(&T) -> String,
}

/// How often a job was tried.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tries {
    attempts: u32,
    panics: u32,
}

/// What is kept of a job while it is done, to do it again.
pub(super) struct Spare<J> {
    pub(super) job: J,
    pub(super) scope: Option<Scope>,
    pub(super) tries: Tries,
}

impl<J: Clone, O, E> Ways<J, Result<O, E>> {
    pub(super) const fn new() -> Self {
        Self { clone: J::clone, is_failure: Result::is_err }
    }
}

impl<O, E> Retry<Result<O, E>> {
    pub(super) fn new(policy: Policy, classify: impl Fn(&E) -> Decision + Send + Sync + 'static) -> Self {
        let classify =
            move |output: &Result<O, E>| output.as_ref().map_or_else(&classify, |_| Decision::GiveUp);
        Self { policy, classify: Box::new(classify) }
    }
}

impl<J, O, E: Display> Letters<J, Result<O, E>> {
    pub(super) fn new(sender: mpsc::Sender<DeadLetter<J>>) -> Self {
        let text_of = |output: &Result<O, E>| output.as_ref().err().map(E::to_string).unwrap_or_default();
        Self { sender, text_of }
    }
}

impl<J: Send + 'static, T: Send + 'static> Failures<J, T> {
    pub(super) const fn new(
        ways: Ways<J, T>,
        retry: Option<Retry<T>>,
        letters: Option<Letters<J, T>>,
        panics_max: u32,
    ) -> Self {
        let [retried, lettered, lost] = [const { AtomicU64::new(0) }; 3];
        Self { ways, retry, letters, panics_max, retried, lettered, lost }
    }

    /// Keeps of a job that is about to be tried what it takes to try it again.
    pub(super) fn spare(&self, job: &J, more: Option<&More>) -> Spare<J> {
        let (scope, tries) = more.map_or_else(Default::default, |more| (more.scope.clone(), more.tries));
        if let Some(retry) = self.retry.as_ref().filter(|_| tries.attempts == 0) {
            retry.policy.record_call();
        }
        Spare { job: (self.ways.clone)(job), scope, tries }
    }

    /// Deals with the end of an attempt: the job is delayed, or its ticket answered.
    pub(super) fn after(
        &self,
        core: &Core<J, T>,
        spare: Spare<J>,
        answer: Answer<T>,
        done: Done,
        answering: Answering<T>,
    ) -> Done {
        let (cause, decision) = match &answer {
            Ok(output) if (self.ways.is_failure)(output) => (Cause::Failed, self.decision(output)),
            Err(JobError::Panicked(_)) => (Cause::Panicked, Decision::Retry),
            Err(JobError::TimedOut { .. }) => (Cause::TimedOut, Decision::Retry),
            Ok(_) | Err(_) => {
                answering.answer(answer);
                return done;
            }
        };
        let done = if cause == Cause::Failed { Done::Failed } else { done };
        let Spare { job, scope, mut tries } = spare;
        tries.attempts += 1;
        tries.panics += u32::from(cause == Cause::Panicked);
        let (job, answering, gave_up) = match self.delay(tries, scope.as_ref(), decision) {
            Err(gave_up) => (job, answering, gave_up),
            Ok((delay, policy)) => {
                let entry = Entry::new(job, answering, Some(Box::new(More { scope, tries })));
                match core.again(entry, clock::now() + delay, || policy.pay()) {
                    Again::Delayed => {
                        self.retried.fetch_add(1, Ordering::Relaxed);
                        return done;
                    }
                    // The drain hands the job back: the ticket tells why this attempt failed.
                    Again::PutAside(answering) => {
                        answering.answer(answer);
                        return done;
                    }
                    Again::NoRoom(entry, rejected) => (entry.job, entry.answering, GaveUp::NoRoom(rejected)),
                    Again::NotPaid(entry, stop) => (entry.job, entry.answering, GaveUp::Policy(stop)),
                }
            }
        };
        // Before the ticket is answered: who sees the error finds the letter.
        self.send(job, cause, &answer, tries, gave_up);
        answering.answer(answer);
        done
    }

    fn decision(&self, output: &T) -> Decision {
        self.retry.as_ref().map_or(Decision::GiveUp, |retry| (retry.classify)(output))
    }

    /// How long until the next attempt, and by which policy it is to be paid for; or why there is none.
    fn delay(
        &self,
        tries: Tries,
        scope: Option<&Scope>,
        decision: Decision,
    ) -> Result<(Duration, &Policy), GaveUp> {
        let Some(retry) = &self.retry else { return Err(GaveUp::NoRetry) };
        if tries.panics >= self.panics_max {
            return Err(GaveUp::Poison);
        }
        let remaining = scope.and_then(Scope::remaining);
        let delay = retry.policy.delay_within(tries.attempts, decision, remaining).map_err(GaveUp::Policy)?;
        Ok((delay, &retry.policy))
    }

    fn send(&self, job: J, cause: Cause, answer: &Answer<T>, tries: Tries, gave_up: GaveUp) {
        let Some(letters) = &self.letters else { return };
        let error = match answer {
            Ok(output) => (letters.text_of)(output),
            Err(JobError::Panicked(panic)) => panic.message(),
            Err(error) => error.to_string(),
        };
        let letter = DeadLetter { job, cause, error, attempts: tries.attempts, gave_up };
        let count = if letters.sender.try_send(letter).is_ok() { &self.lettered } else { &self.lost };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, for the registry.
    pub(super) fn show(&self, details: &mut Vec<(&'static str, u64)>) {
        let counts =
            [("retried", &self.retried), ("dead_letters", &self.lettered), ("dead_letters_lost", &self.lost)];
        details.extend(counts.map(|(name, count)| (name, count.load(Ordering::Relaxed))));
    }
}
