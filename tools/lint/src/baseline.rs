use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bounded::read_text;
use crate::finding::Finding;
use crate::fingerprint::Fingerprint;
use crate::level::Level;
use crate::options::Options;
use crate::rule::Rule;

/// What stands at the top of the file.
const HEAD: &str = "\
# Sites that `plimsoll lint` knows already: what is not listed here is new.
# Write why a site may stay as it is into `justification`: it is kept when the file is written again.
# `plimsoll lint --baseline FILE --write-baseline` adds what is found, and drops what is no more.

";

/// A file of a hundred thousand sites is smaller.
const BYTES_MAX: u64 = 64 << 20;

/// The sites that are known, by fingerprint.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Baseline {
    entries: BTreeMap<Fingerprint, Entry>,
}

/// A site that is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The code of its rule.
    pub rule: String,
    /// Its file.
    pub path: String,
    /// The function that it is in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// The site in the code's own words.
    pub what: String,
    /// What it is found again by.
    pub fingerprint: String,
    /// Why it may stay; empty while nobody has said.
    #[serde(default)]
    pub justification: String,
}

/// What writing the file again did to it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// Sites that were in it and are still found.
    pub kept: usize,
    /// Sites that were not in it.
    pub added: usize,
    /// Sites that are no more.
    pub dropped: Vec<Entry>,
}

/// A baseline that cannot be used.
#[derive(Debug)]
pub struct BaselineError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for BaselineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "baseline {}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for BaselineError {}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default, rename = "site")]
    sites: Vec<Entry>,
}

const VERSION: u32 = 1;

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, cannot be read, or says what a baseline does not.
    pub fn read(file: &Path) -> Result<Self, BaselineError> {
        let text = read_text(file, BYTES_MAX);
        text.and_then(|text| Self::parse(&text)).map_err(|why| BaselineError { file: file.to_owned(), why })
    }

    /// Reads a file; one that is not there yet has no sites.
    ///
    /// # Errors
    /// It cannot be read, or says what a baseline does not.
    pub fn read_or_empty(file: &Path) -> Result<Self, BaselineError> {
        if file.try_exists().unwrap_or(true) { Self::read(file) } else { Ok(Self::default()) }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, file: &Path) -> Result<(), BaselineError> {
        let failed = |why: std::io::Error| BaselineError { file: file.to_owned(), why: why.to_string() };
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let text = self.to_text().map_err(|why| BaselineError { file: file.to_owned(), why })?;
        std::fs::write(&beside, text).map_err(failed)?;
        std::fs::rename(&beside, file).map_err(failed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if written.version != VERSION {
            return Err(format!("version is {}, this build reads {VERSION}", written.version));
        }
        let mut entries = BTreeMap::new();
        for entry in written.sites {
            let print: Fingerprint = entry.fingerprint.parse()?;
            // A merge of two branches may leave a site twice: who has said why is believed.
            match entries.get(&print) {
                Some(Entry { justification, .. }) if !justification.trim().is_empty() => {}
                _ => {
                    entries.insert(print, entry);
                }
            }
        }
        Ok(Self { entries })
    }

    /// The text of the file: by path, function and rule, so that a change of one site is a change of one place.
    fn to_text(&self) -> Result<String, String> {
        let mut sites: Vec<Entry> = self.entries.values().cloned().collect();
        sites.sort_by(|left, right| left.place().cmp(&right.place()));
        let written = Written { version: VERSION, sites };
        let body = toml::to_string_pretty(&written).map_err(|error| error.to_string())?;
        Ok(format!("{HEAD}{body}"))
    }

    /// The entry of a site, if it is known.
    pub fn get(&self, print: Fingerprint) -> Option<&Entry> {
        self.entries.get(&print)
    }

    /// All entries, by fingerprint.
    pub fn entries(&self) -> impl Iterator<Item = (Fingerprint, &Entry)> {
        self.entries.iter().map(|(print, entry)| (*print, entry))
    }

    /// The baseline of what is found now, with the justifications of this one. Of rules that are off nothing
    /// is found, and nothing is dropped.
    #[must_use]
    pub fn renewed<'a>(
        &self,
        findings: impl IntoIterator<Item = &'a Finding>,
        options: &Options,
    ) -> (Self, Renewal) {
        let mut renewal = Renewal::default();
        let mut entries = BTreeMap::new();
        for finding in findings {
            let print = Fingerprint::of(finding);
            let known = self.entries.get(&print);
            let justification = known.map(|entry| entry.justification.clone()).unwrap_or_default();
            if entries.insert(print, Entry::of(finding, print, justification)).is_none() {
                renewal.kept += usize::from(known.is_some());
                renewal.added += usize::from(known.is_none());
            }
        }
        for (print, entry) in &self.entries {
            if entries.contains_key(print) {
                continue;
            }
            if entry.is_off(options) {
                renewal.kept += 1;
                entries.insert(*print, entry.clone());
            } else {
                renewal.dropped.push(entry.clone());
            }
        }
        (Self { entries }, renewal)
    }
}

impl Entry {
    fn of(finding: &Finding, print: Fingerprint, justification: String) -> Self {
        Self {
            rule: finding.rule.code().to_owned(),
            path: finding.path.clone(),
            function: finding.function.clone(),
            what: finding.what.clone(),
            fingerprint: print.to_string(),
            justification,
        }
    }

    /// Whether it is of a rule that is off: whether it is still there is not known.
    pub(crate) fn is_off(&self, options: &Options) -> bool {
        self.rule.parse::<Rule>().is_ok_and(|rule| options.level(rule) == Level::Off)
    }

    fn place(&self) -> [&str; 5] {
        [&self.path, &self.function, &self.rule, &self.what, &self.fingerprint]
    }
}
