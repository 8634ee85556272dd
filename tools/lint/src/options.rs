use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use crate::clippy::ResolvedCalls;
use crate::level::Level;
use crate::rule::Rule;

/// How a run is done: what is looked for, and how much a source may ask of it.
///
/// Every field has a range within which it is kept silently: these are bounds of the reader itself,
/// whoever wrote the sources.
#[derive(Clone, Debug)]
pub struct Options {
    /// The level of each rule that is not at [`Level::Deny`].
    pub levels: BTreeMap<Rule, Level>,
    /// A file with more bytes is not read, and reported. Default 2 MiB.
    pub file_bytes_max: u64,
    /// A file whose brackets or operators nest deeper is not parsed, and reported. Default 192, at most
    /// 512: the stack of the workers is made for that.
    pub depth_max: usize,
    /// Files of one run; what is beyond is reported as one failure. Default 200,000.
    pub files_max: usize,
    /// How many threads read and judge. Default: the processors there are, at most 16.
    pub workers: NonZeroUsize,
    /// Whether directories called `vendor` and `third_party` are read. Default: no.
    pub vendored: Vendored,
    /// Files and directories that are not read, relative to the root, with `/` between their parts.
    pub exclude: Vec<String>,
    /// What is known of calls beyond the sources. Default: nothing.
    pub resolved: ResolvedCalls,
}

/// Whether other people's code in the tree is read too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendored {
    /// Left out.
    Skip,
    /// Read like the rest.
    Read,
}

impl Default for Options {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            levels: BTreeMap::new(),
            file_bytes_max: 2 << 20,
            depth_max: 192,
            files_max: 200_000,
            workers: processors.min(const { NonZeroUsize::new(16).unwrap() }),
            vendored: Vendored::Skip,
            exclude: Vec::new(),
            resolved: ResolvedCalls::default(),
        }
    }
}

impl Options {
    /// The level of a rule: [`Level::Deny`] unless set.
    pub fn level(&self, rule: Rule) -> Level {
        self.levels.get(&rule).copied().unwrap_or(Level::Deny)
    }

    /// Whether a path, relative to the root, is one of those that are not read.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        let below = |out: &String| {
            path.strip_prefix(out.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.exclude.iter().any(below)
    }

    /// The same options with a rule at another level.
    #[must_use]
    pub fn with_level(mut self, rule: Rule, level: Level) -> Self {
        self.levels.insert(rule, level);
        self
    }
}
