//! What had to hold, and whether it did.

use serde::{Deserialize, Serialize};

/// How it stands with an assertion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not decided yet.
    Open,
    /// It held.
    Held,
    /// It did not.
    Broken,
    /// It could not be checked.
    NotChecked,
    /// It did not, but that may be the generator's doing.
    NotJudged,
}

/// An assertion.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Assertion {
    /// Its name for programs, such as `overload.refuses`.
    pub name: String,
    /// What had to hold, as a sentence.
    pub asks: String,
    /// How it stands.
    pub state: State,
    /// What was seen, or why it could not be checked.
    pub seen: String,
}

/// What is to be said of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was asserted: figures only.
    Measured,
    /// All that could be checked held.
    Held,
    /// Something did not hold.
    Broken,
    /// It cannot be said: the generator was the limit, the run was stopped, or something that was to
    /// be read could not be.
    NotJudged,
}

impl Assertion {
    /// An open one.
    pub(super) fn open(name: &str, asks: String) -> Self {
        Self { name: name.to_owned(), asks, state: State::Open, seen: String::new() }
    }

    /// Whether it is decided.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.state != State::Open
    }
}

impl Verdict {
    /// The exit code of the command.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Measured | Self::Held => 0,
            Self::Broken => 1,
            Self::NotJudged => 3,
        }
    }

    /// In two or three words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Held => "the bound holds",
            Self::Broken => "the bound does not hold",
            Self::NotJudged => "could not be judged",
        }
    }
}
