use std::fmt;

use crate::finding::Finding;
use crate::source::ParseFailure;

/// What a run found.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// What counts: the highest rank first, then by path and line.
    pub findings: Vec<Finding>,
    /// What is allowed beside the code, with the reason, in the same order.
    pub allowed: Vec<Finding>,
    /// Files that could not be judged, by path.
    pub failures: Vec<Failure>,
    /// How many files were judged.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many functions were looked into.
    pub functions: usize,
}

/// A file that was not judged, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The file, relative to the root of the run.
    pub path: String,
    /// Why.
    pub problem: Problem,
}

/// Why a file was not judged.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// It could not be parsed, or is not to be.
    Parse(ParseFailure),
    /// It, or its directory, could not be read.
    Read {
        /// In the words of the system.
        why: String,
    },
    /// The judge itself has failed on it, which is a bug of ours.
    Ours,
    /// There are more files than a run reads.
    TooManyFiles {
        /// How many a run reads.
        limit: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(failure) => failure.fmt(out),
            Self::Read { why } => write!(out, "could not be read: {why}"),
            Self::Ours => {
                out.write_str("the judge has panicked on it: a bug of ours, please report the file")
            }
            Self::TooManyFiles { limit } => {
                write!(out, "more than {limit} files: those beyond were not read; lint a part of the tree")
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.problem)
    }
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Files that were read.
    pub read: usize,
    /// Files that were judged.
    pub judged: usize,
    /// Files that there are.
    pub files: usize,
}
