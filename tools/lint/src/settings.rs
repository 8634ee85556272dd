use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::bounded::read_text;
use crate::finding::Rank;
use crate::level::Level;
use crate::rule::Rule;
use crate::verdict::FailOn;

/// The file in the root of a repository.
pub const FILE: &str = "plimsoll-lint.toml";

const BYTES_MAX: u64 = 1 << 20;
/// As many as there is a use for.
const EXCLUDED_MAX: usize = 1_000;

/// What a repository says about how it is to be linted.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Settings {
    /// Levels of rules.
    pub levels: BTreeMap<Rule, Level>,
    /// The baseline, relative to the root.
    pub baseline: Option<PathBuf>,
    /// What makes a run fail.
    pub fail_on: Option<FailOn>,
    /// Files and directories that are not read, relative to the root, with `/` between their parts.
    pub exclude: Vec<String>,
}

/// Settings that cannot be used.
#[derive(Debug)]
pub struct SettingsError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for SettingsError {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    levels: BTreeMap<String, String>,
    baseline: Option<PathBuf>,
    fail_on: Option<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

impl Settings {
    /// Reads the file of a root; without one, or where the root is itself a file, nothing is set.
    ///
    /// # Errors
    /// It cannot be read, or says what settings do not.
    pub fn of(root: &Path) -> Result<Self, SettingsError> {
        let file = root.join(FILE);
        if !root.is_dir() || !file.try_exists().unwrap_or(true) {
            return Ok(Self::default());
        }
        let text = read_text(&file, BYTES_MAX);
        text.and_then(|text| Self::parse(&text)).map_err(|why| SettingsError { file, why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let mut levels = BTreeMap::new();
        for (rule, level) in written.levels {
            let said = |error: String| format!("levels: {error}");
            let rule: Rule = rule.parse().map_err(|error: crate::UnknownRule| said(error.to_string()))?;
            if levels.insert(rule, level.parse().map_err(said)?).is_some() {
                return Err(format!("levels: {} is there twice, by its code and by its name", rule.code()));
            }
        }
        if written.exclude.len() > EXCLUDED_MAX {
            return Err(format!("exclude has {} paths, allowed are {EXCLUDED_MAX}", written.exclude.len()));
        }
        for path in &written.exclude {
            if path.is_empty() || path.starts_with(['/', '.']) || path.contains(['\\', '*']) {
                return Err(format!(
                    "exclude: `{path}`: allowed is a file or directory below the root, as in \"tools/generated\""
                ));
            }
        }
        let exclude = written.exclude.iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
        let fail_on = written.fail_on.map(|word| word.parse().map_err(|error| format!("fail-on: {error}")));
        Ok(Self { levels, baseline: written.baseline, fail_on: fail_on.transpose()?, exclude })
    }
}

impl FromStr for Level {
    type Err = String;

    /// `off` or `allow`, `warn`, `deny`.
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "off" | "allow" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "deny" => Ok(Self::Deny),
            _ => Err(format!("`{word}` is no level: there are allow, warn and deny")),
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "new" => Ok(Self::New),
            "high" => Ok(Self::Rank(Rank::High)),
            "medium" => Ok(Self::Rank(Rank::Medium)),
            "low" => Ok(Self::Rank(Rank::Low)),
            "any" => Ok(Self::Any),
            "never" => Ok(Self::Never),
            _ => Err(format!("`{word}`: allowed are new, high, medium, low, any and never")),
        }
    }
}
