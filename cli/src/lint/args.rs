//! What can be asked for on the command line.

use std::path::PathBuf;

use plimsoll_lint::{FailOn, Level, Rule};

const EXAMPLES: &str = "\
Examples:
  plimsoll lint                                     what is found here, the weightiest first
  plimsoll lint ../my/billing --show 100            there, and more of it
  plimsoll lint --explain PL001                     what a rule means, and what to write instead
  plimsoll lint --baseline lint.toml --write-baseline
                                                    take what is there today as known
  plimsoll lint --baseline lint.toml                fail only on what is new (say so in CI)
  plimsoll lint --fail-on high --level PL015=warn   fail only where peers or input decide
  plimsoll lint --format github                     annotations on a pull request
  plimsoll lint --format sarif > lint.sarif         for code scanning
  plimsoll lint --types                             what only types tell as well; builds the code
  plimsoll lint --report --html burn-down.html      how it went, month by month

A site that may stay is told so beside it, with the reason; the reason is asked for:
  // plimsoll: allow(unbounded-channel) one message for each of the 16 shards at most

What a repository always wants stands in plimsoll-lint.toml in its root:
  baseline = \"lint.toml\"
  fail-on = \"new\"
  exclude = [\"crates/generated\"]
  [levels]
  no-timeout = \"warn\"

Exit codes: 0 nothing that fails, 1 something does, 2 called wrongly or could not be read.";

/// Finds concurrency without a bound in Rust code: spawns in loops, unbounded channels, retries without
/// an end, bodies without a limit. Reads the sources; nothing is built.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A repository, a directory or a file
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) path: PathBuf,
    /// How it is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(super) format: Format,
    /// The same as --format json; with --report its numbers
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// A file of the sites that are known; what it does not list is new
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Write what is found into the baseline; the justifications in it are kept
    #[arg(long, conflicts_with_all = ["report", "fail_on"])]
    pub(super) write_baseline: bool,
    /// What makes it fail: new, or new of at least a rank (high, medium, low), any, never [default: new]
    #[arg(long, value_name = "WHAT", value_parser = parsed::<FailOn>)]
    pub(super) fail_on: Option<FailOn>,
    /// The level of a rule, by code or name: allow, warn or deny; may be given many times
    #[arg(long, value_name = "RULE=LEVEL", value_parser = level)]
    pub(super) level: Vec<(Rule, Level)>,
    /// Show and count what is in tests, examples and benchmarks too
    #[arg(long)]
    pub(super) tests: bool,
    /// Read directories of copied code too, vendor and the like
    #[arg(long)]
    pub(super) vendored: bool,
    /// How many sites are shown to a person, the weightiest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) show: usize,
    /// Ask clippy as well, for what only types tell: calls through re-exports, macros and fields; builds the code
    #[arg(long, conflicts_with = "report")]
    pub(super) types: bool,
    /// Count over the history of the repository instead, month by month
    #[arg(long, conflicts_with_all = ["baseline", "fail_on"])]
    pub(super) report: bool,
    /// How many months the report goes back
    #[arg(long, value_name = "N", default_value_t = 24, requires = "report", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(super) months: u16,
    /// Write the report as one HTML page that stands alone
    #[arg(long, value_name = "FILE", requires = "report")]
    pub(super) html: Option<PathBuf>,
    /// Print the page of a rule, by code or name, and nothing else
    #[arg(long, value_name = "RULE", value_parser = parsed::<Rule>, conflicts_with_all = ["rules", "markdown"])]
    pub(super) explain: Option<Rule>,
    /// List the rules
    #[arg(long, conflicts_with = "markdown")]
    pub(super) rules: bool,
    /// Print the page of the handbook, docs/lint.md
    #[arg(long)]
    pub(super) markdown: bool,
}

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// For a person
    Human,
    /// One object, with a version
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Commands that GitHub shows beside the lines
    Github,
}

fn parsed<What: std::str::FromStr<Err: std::fmt::Display>>(word: &str) -> Result<What, String> {
    word.parse().map_err(|error: What::Err| error.to_string())
}

fn level(pair: &str) -> Result<(Rule, Level), String> {
    let (rule, level) = pair.split_once('=').ok_or("expected RULE=LEVEL, as in PL003=warn")?;
    Ok((parsed(rule)?, parsed(level)?))
}
