//! Why a closure has no result.

use std::error;
use std::fmt;

use crate::Rejected;
use crate::pool::JobError;

/// Why a closure that was to [run](super::CpuPool::run) has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It was not admitted.
    Rejected(Rejected),
    /// It was admitted, and not done: it panicked, was cancelled before it began, or dropped.
    Job(JobError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Job(error) => error.fmt(f),
        }
    }
}

impl error::Error for Error {}
