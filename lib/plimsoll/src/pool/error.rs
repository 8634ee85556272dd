//! Why a job was not admitted, or not done.

use std::error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Rejected;
use crate::scope::Ended;
use crate::unwind::Payload;

/// A job that was not admitted, handed back, and why.
pub struct Refused<J> {
    /// The job.
    pub job: J,
    /// Why it was not admitted.
    pub rejected: Rejected,
}

/// Why a job that was admitted has no output.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// It took longer than the pool's [`job_timeout`](super::Builder::job_timeout).
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// It panicked.
    Panicked(Panic),
    /// It was dropped from a full queue, to make room or as the newest, as
    /// [`OnFull`](super::OnFull) says.
    Dropped,
    /// The pool ended, or was dropped, before the job did.
    Cancelled,
    /// The scope it was submitted in ended before the job did.
    ScopeEnded(Ended),
    /// It was waited for inside of its own pool, in too deep a nest of jobs to run it there.
    TooDeep {
        /// How deep a nest may be.
        max: u8,
    },
}

/// A panic that was caught in a job.
pub struct Panic {
    // In a mutex because a payload may not be shared between threads, and an error should be.
    payload: Mutex<Payload>,
}

impl Panic {
    pub(super) const fn new(payload: Payload) -> Self {
        Self { payload: Mutex::new(payload) }
    }

    /// What the panic said, if it said it in text.
    #[must_use]
    pub fn message(&self) -> String {
        let payload = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
    }

    /// Goes on with the panic, here.
    ///
    /// # Panics
    /// Always.
    pub fn resume(self) -> ! {
        resume_unwind(self.payload.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { after } => write!(f, "the job took longer than {after:?}"),
            Self::Panicked(panic) => write!(f, "the job panicked: {}", panic.message()),
            Self::Dropped => f.write_str("the job was dropped from a full queue"),
            Self::Cancelled => f.write_str("the pool ended before the job did"),
            Self::ScopeEnded(ended) => ended.fmt(f),
            Self::TooDeep { max } => write!(f, "waited for in its own pool, more than {max} jobs deep"),
        }
    }
}

impl error::Error for JobError {}

impl<J> fmt::Debug for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl<J> fmt::Display for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejected.fmt(f)
    }
}

impl<J> error::Error for Refused<J> {}
