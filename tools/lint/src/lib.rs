//! Finds concurrency without a bound in Rust sources, by reading them: nothing is built.
//!
//! [`lint_tree`] reads a repository in two passes. The first collects what each crate is made of:
//! which functions handle requests, which are called in loops, what its fields hold. The second
//! judges every site with that in hand: where the items of a loop come from, what bounds it, and how
//! much it matters. [`lint_source`] does both on one text.
//!
//! What comes out are [`Finding`]s, each of a [`Rule`], with a [`Rank`]: fed by peers or input before
//! configuration before constants, a request path before start-up, and tests apart.
//!
//! It knows no types. What only types tell is left alone, not guessed.

mod allow;
mod baseline;
mod bounded;
pub mod clippy;
mod expand;
mod facts;
mod finding;
mod fingerprint;
mod handbook;
pub mod history;
mod imports;
mod judge;
mod level;
mod lint;
mod options;
mod origin;
pub mod output;
mod parse;
mod report;
mod rule;
mod scan;
mod scope;
mod settings;
mod source;
mod syntax;
mod verdict;
mod walk;

pub use baseline::{Baseline, BaselineError, Entry, Renewal};
pub use finding::{Finding, Instead, Place, Position, Rank, Source, Suggestion};
pub use fingerprint::Fingerprint;
pub use handbook::handbook;
pub use level::Level;
pub use lint::{lint_source, lint_sources, lint_tree};
pub use options::{Options, Vendored};
pub use report::{Failure, Problem, Progress, Report};
pub use rule::{Rule, UnknownRule};
pub use settings::{FILE as SETTINGS_FILE, Settings, SettingsError};
pub use source::{ParseFailure, SourceFile};
pub use verdict::{FailOn, Site, Standing, Tests, Verdict};
