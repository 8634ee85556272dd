use std::fmt;

use crate::rule::Rule;

/// A place in the sources where something has no bound, no owner or no end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule that it is of.
    pub rule: Rule,
    /// The file, relative to the root of the run, with `/` between its parts.
    pub path: String,
    /// Where the site begins.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
    /// The function that it is in, with its modules and type: `net::Server::accept`. Empty outside of one.
    pub function: String,
    /// The site in the code's own words, on one line of at most 120 characters.
    pub what: String,
    /// Why it is told, in the code's own terms: one or two sentences.
    pub message: String,
    /// What the judgement stands on, the weightiest first; each a fragment.
    pub facts: Vec<String>,
    /// How much it matters.
    pub rank: Rank,
    /// Who decides how many there are.
    pub source: Source,
    /// When the code runs.
    pub place: Place,
    /// What to write instead.
    pub suggestions: Vec<Suggestion>,
    /// The tokens of the site with single blanks between: equal however it is formatted.
    pub anchor: String,
    /// How many findings of the same rule, function and anchor stand before this one in the file.
    pub ordinal: usize,
    /// The reason of the `// plimsoll: allow(…)` beside it. Such findings stand in
    /// [`Report::allowed`](crate::Report::allowed), never among those that count.
    pub allowed: Option<String>,
}

impl Finding {
    /// Whether it is in a test, an example or a benchmark.
    pub fn in_tests(&self) -> bool {
        self.place == Place::Test
    }

    /// What stays the same when lines move: to be hashed by who wants a short name for it.
    pub fn identity(&self) -> [&str; 4] {
        [self.rule.code(), &self.path, &self.function, &self.anchor]
    }
}

/// A place in a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// How much a finding matters. `High` is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rank {
    /// A constant decides how many there are, or it is in a test.
    Low,
    /// Configuration decides, or it could not be told.
    Medium,
    /// Peers or input decide, while the program runs.
    High,
}

impl fmt::Display for Rank {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// Who decides how many there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// It is written in the code.
    Constant,
    /// Configuration, arguments, the environment.
    Configuration,
    /// It could not be told.
    Unknown,
    /// What is read: requests, messages, rows, files.
    Input,
    /// Who connects.
    Peers,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Constant => "constant",
            Self::Configuration => "configuration",
            Self::Unknown => "unknown",
            Self::Input => "input",
            Self::Peers => "peers",
        })
    }
}

/// When the code of a finding runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// In a test, an example or a benchmark.
    Test,
    /// Once, when the program starts.
    StartUp,
    /// While the program runs.
    Runtime,
    /// While a request is answered.
    RequestPath,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Test => "test",
            Self::StartUp => "start-up",
            Self::Runtime => "runtime",
            Self::RequestPath => "request path",
        })
    }
}

/// What to write instead, with the names of the code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suggestion {
    /// With which library.
    pub with: Instead,
    /// A few lines of Rust.
    pub code: String,
}

/// With which library a suggestion is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instead {
    /// With Plimsoll.
    Plimsoll,
    /// With tokio, futures and the standard library.
    Tokio,
}
