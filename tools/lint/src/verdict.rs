use std::collections::HashSet;

use crate::baseline::{Baseline, Entry};
use crate::finding::{Finding, Rank};
use crate::fingerprint::Fingerprint;
use crate::level::Level;
use crate::options::Options;
use crate::report::Report;

/// What a run found, beside what was known before it.
#[derive(Clone, Default, Debug)]
pub struct Verdict {
    /// Every site, the weightiest first; those in tests last.
    pub sites: Vec<Site>,
    /// What is allowed beside the code.
    pub allowed: Vec<Finding>,
    /// What the baseline lists and is found no more.
    pub stale: Vec<Entry>,
}

/// A finding, and what is known of it.
#[derive(Clone, Debug)]
pub struct Site {
    /// What was found.
    pub finding: Finding,
    /// Its name over time.
    pub fingerprint: Fingerprint,
    /// What its rule counts for.
    pub level: Level,
    /// Whether the baseline lists it.
    pub standing: Standing,
}

/// Whether the baseline lists a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It does not, or there is none.
    New,
    /// It does.
    Known {
        /// Why it may stay; empty while nobody has said.
        justification: String,
    },
}

/// What makes a run fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailOn {
    /// Any site that the baseline does not list.
    New,
    /// One that it does not list, of at least this rank.
    Rank(Rank),
    /// Any site, listed or not.
    Any,
    /// Nothing.
    Never,
}

/// Whether sites in tests, examples and benchmarks count like the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tests {
    /// They are told apart, and never a reason to fail.
    Apart,
    /// They count.
    Counted,
}

impl Verdict {
    /// Lays what was found beside the baseline.
    pub fn new(report: Report, baseline: Option<&Baseline>, options: &Options) -> Self {
        let site = |finding: Finding| {
            let fingerprint = Fingerprint::of(&finding);
            let known = baseline.and_then(|baseline| baseline.get(fingerprint));
            let known =
                known.map(|entry| Standing::Known { justification: entry.justification.trim().to_owned() });
            Site {
                level: options.level(finding.rule),
                fingerprint,
                standing: known.unwrap_or(Standing::New),
                finding,
            }
        };
        let mut sites: Vec<Site> = report.findings.into_iter().map(site).collect();
        sites.sort_by_key(|site| site.finding.in_tests());
        let found: HashSet<Fingerprint> = sites.iter().map(|site| site.fingerprint).collect();
        let entries = baseline.into_iter().flat_map(Baseline::entries);
        let stale = entries.filter(|(print, entry)| !found.contains(print) && !entry.is_off(options));
        let stale = stale.map(|(_, entry)| entry.clone()).collect();
        Self { sites, allowed: report.allowed, stale }
    }

    /// The sites for which a run fails.
    pub fn failing(&self, fail_on: FailOn, tests: Tests) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(move |site| site.fails(fail_on, tests))
    }
}

impl Site {
    /// Whether it is a reason to fail.
    pub fn fails(&self, fail_on: FailOn, tests: Tests) -> bool {
        let counts = self.level == Level::Deny && (tests == Tests::Counted || !self.finding.in_tests());
        counts
            && match fail_on {
                FailOn::New => self.is_new(),
                FailOn::Rank(rank) => self.is_new() && self.finding.rank >= rank,
                FailOn::Any => true,
                FailOn::Never => false,
            }
    }

    /// Whether the baseline does not list it.
    pub fn is_new(&self) -> bool {
        self.standing == Standing::New
    }
}
