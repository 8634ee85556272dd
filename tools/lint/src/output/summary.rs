use std::collections::BTreeMap;
use std::time::Duration;

use crate::baseline::Baseline;
use crate::finding::Rank;
use crate::options::Options;
use crate::report::{Failure, Report};
use crate::rule::Rule;
use crate::verdict::{Site, Tests, Verdict};

/// A run, as it is told.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found.
    pub verdict: Verdict,
    /// What could not be judged.
    pub failures: Vec<Failure>,
    /// How many files were judged.
    pub files: usize,
    /// How many functions were looked into.
    pub functions: usize,
    /// How long it took.
    pub took: Duration,
    /// What stands before the paths: where the root is from where the reader is; empty, or ends with `/`.
    pub prefix: String,
    /// Whether tests count.
    pub tests: Tests,
    /// How many sites make it fail.
    pub failing: usize,
}

/// How many there are of each rule.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Summary {
    /// By rule.
    pub rules: BTreeMap<Rule, Counts>,
    /// In all.
    pub all: Counts,
}

/// How many.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Of rank high, new or known, outside of tests.
    pub high: usize,
    /// Of rank medium.
    pub medium: usize,
    /// Of rank low.
    pub low: usize,
    /// In tests, examples and benchmarks, whatever their rank.
    pub tests: usize,
    /// Of all these, how many the baseline lists.
    pub known: usize,
}

impl Outcome {
    /// Lays a report beside what was known.
    pub fn of(report: Report, baseline: Option<&Baseline>, options: &Options, took: Duration) -> Self {
        let (files, functions, failures) = (report.files, report.functions, report.failures.clone());
        Self {
            verdict: Verdict::new(report, baseline, options),
            failures,
            files,
            functions,
            took,
            prefix: String::new(),
            tests: Tests::Apart,
            failing: 0,
        }
    }

    /// The path of a site, as the reader can open it.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The sites that are told: those in tests only where they count.
    pub(super) fn told(&self) -> impl Iterator<Item = &Site> {
        self.verdict.sites.iter().filter(|site| self.tests == Tests::Counted || !site.finding.in_tests())
    }
}

impl Summary {
    /// Counts sites.
    pub fn of<'a>(sites: impl IntoIterator<Item = &'a Site>) -> Self {
        let mut summary = Self::default();
        for site in sites {
            summary.rules.entry(site.finding.rule).or_default().add(site);
            summary.all.add(site);
        }
        summary
    }
}

impl Counts {
    fn add(&mut self, site: &Site) {
        match (site.finding.in_tests(), site.finding.rank) {
            (true, _) => self.tests += 1,
            (false, Rank::High) => self.high += 1,
            (false, Rank::Medium) => self.medium += 1,
            (false, Rank::Low) => self.low += 1,
        }
        self.known += usize::from(!site.is_new());
    }

    /// How many there are, outside of tests.
    pub fn outside_tests(&self) -> usize {
        self.high + self.medium + self.low
    }
}
