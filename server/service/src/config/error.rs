//! Configuration that was refused.

use std::fmt;

/// All that is wrong with the configuration, each with the key, the value, where it came from and
/// what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    pub(crate) const fn new(problems: Vec<String>) -> Self {
        Self { problems }
    }

    /// One problem.
    #[must_use]
    pub fn one(problem: impl fmt::Display) -> Self {
        Self { problems: vec![problem.to_string()] }
    }

    /// What is wrong: a line each.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
