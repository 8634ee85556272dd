use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::git::{Commit, Contents, GitError, Repository, TreeFile};
use super::month::Month;
use crate::facts::crate_of;
use crate::finding::{Finding, Rank};
use crate::lint::lint_sources;
use crate::options::Options;
use crate::rule::Rule;
use crate::source::SourceFile;
use crate::walk::is_left_out;

/// How far back is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// In months, with that of the last commit: at least one.
    pub months: u16,
}

/// How many there were, month by month.
#[derive(Clone, PartialEq, Debug)]
pub struct History {
    /// The oldest first; a month without a commit is as the one before it.
    pub points: Vec<Point>,
    /// Whether the clone does not have all of the history.
    pub shallow: bool,
}

/// How it stood at the end of a month.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// The month.
    pub month: Month,
    /// The last commit of it, or of one before.
    pub commit: String,
    /// How many files were judged.
    pub files: usize,
    /// How many could not be.
    pub not_judged: usize,
    /// How many there were of each rule.
    pub rules: BTreeMap<Rule, Tally>,
}

/// How many there were.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Of rank high, outside of tests.
    pub high: usize,
    /// Of rank medium.
    pub medium: usize,
    /// Of rank low.
    pub low: usize,
    /// In tests, examples and benchmarks.
    pub tests: usize,
}

impl Tally {
    /// All outside of tests.
    pub const fn outside_tests(self) -> usize {
        self.high + self.medium + self.low
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            high: self.high + other.high,
            medium: self.medium + other.medium,
            low: self.low + other.low,
            tests: self.tests + other.tests,
        }
    }

    fn count(&mut self, finding: &Finding) {
        match (finding.in_tests(), finding.rank) {
            (true, _) => self.tests += 1,
            (false, Rank::High) => self.high += 1,
            (false, Rank::Medium) => self.medium += 1,
            (false, Rank::Low) => self.low += 1,
        }
    }
}

impl Point {
    /// All rules together.
    pub fn all(&self) -> Tally {
        self.rules.values().fold(Tally::default(), |all, one| all.plus(*one))
    }
}

/// Counts at the end of each month of the main line, up to the last commit.
///
/// What did not change from one month to the next is judged once. `progress` is told how many of how many
/// months are done.
///
/// # Errors
/// There is no git, no repository or no commit, or git fails.
pub fn survey(
    directory: &Path,
    options: &Options,
    span: Span,
    progress: &dyn Fn(usize, usize),
) -> Result<History, GitError> {
    let repository = Repository::of(directory)?;
    let ends = ends(&repository, span)?;
    let mut reader =
        Reader { contents: repository.contents()?, repository: &repository, options, judged: HashMap::new() };
    let mut points: Vec<Point> = Vec::new();
    for (nth, (month, commit)) in ends.iter().enumerate() {
        progress(nth, ends.len());
        let same = points.last().filter(|last| last.commit == commit.id).cloned();
        points.push(match same {
            Some(same) => Point { month: *month, ..same },
            None => reader.point(*month, &commit.id)?,
        });
    }
    Ok(History { points, shallow: repository.shallow })
}

/// The last commit at the end of each month, the oldest first. Months before the first commit are left out.
fn ends(repository: &Repository, span: Span) -> Result<Vec<(Month, Commit)>, GitError> {
    let mut ends: Vec<(Month, Commit)> = Vec::new();
    let mut newest = None;
    repository.commits(|commit| {
        let month = Month::of(commit.seconds);
        let newest = *newest.get_or_insert(month);
        let oldest = newest.back(i64::from(span.months.max(1)) - 1);
        // Clocks differ: a commit may be older than its parent, and stands for no month later than the last.
        let next = ends.last().map_or(newest, |(month, _)| month.back(1));
        let reached = next.since(month.max(oldest)).max(-1);
        for back in 0..=reached {
            ends.push((next.back(back), commit.clone()));
        }
        ends.last().is_none_or(|(month, _)| *month > oldest)
    })?;
    ends.reverse();
    Ok(ends)
}

struct Reader<'a> {
    repository: &'a Repository,
    contents: Contents,
    options: &'a Options,
    /// What was found in the files of a crate, by their contents: most crates do not change in a month.
    judged: HashMap<u64, Judged>,
}

#[derive(Clone, Default)]
struct Judged {
    rules: BTreeMap<Rule, Tally>,
    files: usize,
    not_judged: usize,
}

impl Reader<'_> {
    fn point(&mut self, month: Month, commit: &str) -> Result<Point, GitError> {
        let wanted = |path: &str| path.ends_with(".rs") && is_read(path, self.options);
        let files = self.repository.files(commit, wanted, self.options.files_max)?;
        let mut groups: BTreeMap<&str, Vec<TreeFile>> = BTreeMap::new();
        for file in &files {
            groups.entry(crate_of(&file.path)).or_default().push(file.clone());
        }
        let mut all = Judged::default();
        for group in groups.values() {
            let one = self.judge(group)?;
            all.files += one.files;
            all.not_judged += one.not_judged;
            for (rule, tally) in one.rules {
                let sum = all.rules.entry(rule).or_default();
                *sum = sum.plus(tally);
            }
        }
        let Judged { rules, files, not_judged } = all;
        Ok(Point { month, commit: commit.to_owned(), files, not_judged, rules })
    }

    fn judge(&mut self, group: &[TreeFile]) -> Result<Judged, GitError> {
        let key = key(group);
        if let Some(judged) = self.judged.get(&key) {
            return Ok(judged.clone());
        }
        let mut judged = Judged::default();
        let mut sources = Vec::new();
        for file in group {
            let small = file.bytes <= self.options.file_bytes_max;
            let text = if small { self.contents.text(&file.blob, file.bytes)? } else { None };
            match text {
                Some(text) => sources.push(SourceFile { path: file.path.clone(), text }),
                None => judged.not_judged += 1,
            }
        }
        let report = lint_sources(&sources, self.options, &|_| {});
        judged.files = report.files;
        judged.not_judged += report.failures.len();
        for finding in &report.findings {
            judged.rules.entry(finding.rule).or_default().count(finding);
        }
        self.judged.insert(key, judged.clone());
        Ok(judged)
    }
}

/// Paths and contents: the findings of a crate depend on nothing else.
fn key(group: &[TreeFile]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in group {
        (&file.path, &file.blob).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a walk over the same tree would read it.
fn is_read(path: &str, options: &Options) -> bool {
    let mut directories = path.split('/').rev().skip(1);
    let left_out = directories.any(|name| name.starts_with('.') || is_left_out(name, options.vendored));
    !left_out && !options.excludes(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Vendored;

    #[test]
    fn what_a_walk_leaves_out_is_left_out_of_the_history_too() {
        let exclude = vec!["tools/generated".to_owned()];
        let options = Options { exclude, ..Options::default() };
        let read = |path| is_read(path, &options);
        assert!(read("src/a.rs") && read("tools/generated_not/a.rs") && read("src/target.rs"));
        assert!(!read("vendor/a/src/lib.rs") && !read(".cargo/a.rs") && !read("a/node_modules/b.rs"));
        assert!(!read("tools/generated/a.rs"));
        assert!(is_read("vendor/a.rs", &Options { vendored: Vendored::Read, ..Options::default() }));
    }
}
