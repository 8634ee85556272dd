use std::fmt;

/// A file that is already in memory: of a commit, or of an editor.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Relative to the root of the run, with `/` between its parts.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Why a text was not parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParseFailure {
    /// It is longer than a file may be.
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        limit: u64,
    },
    /// It nests deeper than a file may.
    TooDeep {
        /// Where the limit is passed.
        line: usize,
        /// How deep it may nest.
        limit: usize,
    },
    /// It is no Rust that this version can read.
    Syntax {
        /// Where.
        line: usize,
        /// What was expected there.
        why: String,
    },
    /// It is not UTF-8.
    NotText,
}

impl fmt::Display for ParseFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => write!(out, "{bytes} bytes, of {limit} that a file may have"),
            Self::TooDeep { line, limit } => {
                write!(out, "line {line}: nested deeper than the {limit} levels that a file may have")
            }
            Self::Syntax { line, why } => write!(out, "line {line}: not parsed: {why}"),
            Self::NotText => out.write_str("not UTF-8"),
        }
    }
}

impl std::error::Error for ParseFailure {}
