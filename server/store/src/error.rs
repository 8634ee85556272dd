//! What can go wrong.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use plimsoll::Rejected;

/// Why a call to the store failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The epoch of the claim has passed: another process holds the shard now. Stop writing.
    Fenced {
        /// The epoch that the call carried.
        carried: u64,
        /// The epoch in force.
        in_force: u64,
    },
    /// The store has as much waiting as it may.
    Rejected(Rejected),
    /// The batch is larger than a batch may be.
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How much there was.
        got: usize,
        /// How much there may be.
        limit: usize,
    },
    /// Less is free on the disk than is to stay free: nothing new is taken in.
    DiskLow {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        min: u64,
    },
    /// The disk is full; nothing of the batch was written.
    DiskFull,
    /// The store is closed.
    Closed,
    /// The engine failed; nothing of the batch was written.
    Engine(Arc<str>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced { carried, in_force } => {
                write!(f, "fenced: epoch {carried} has passed, {in_force} is in force")
            }
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::TooLarge { what, got, limit } => write!(f, "batch of {got} {what}, at most {limit}"),
            Self::DiskLow { free, min } => {
                write!(f, "the disk is nearly full: {free} bytes are free, {min} are to stay free")
            }
            Self::DiskFull => write!(f, "the disk is full"),
            Self::Closed => write!(f, "the store is closed"),
            Self::Engine(message) => write!(f, "store: {message}"),
        }
    }
}

impl std::error::Error for Error {}

/// Why the store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process serves from this directory.
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The file was written by a newer version of Plimsoll.
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema this version knows.
        known: u32,
    },
    /// The file is not a store of Plimsoll.
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The engine failed.
    Engine {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, source } => write!(f, "data directory {}: {source}", path.display()),
            Self::Locked { path } => write!(
                f,
                "data directory {} is in use by another plimsoll: stop it, or choose another with --data",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} has schema {found}, this plimsoll knows up to {known}: use the newer version that wrote it",
                path.display()
            ),
            Self::Foreign { path } => {
                write!(f, "{} is not a plimsoll store: choose another directory with --data", path.display())
            }
            Self::Engine { path, message } => write!(f, "{}: {message}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
