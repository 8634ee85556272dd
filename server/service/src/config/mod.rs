//! Settings: declared in tables, read from defaults, a TOML file, the environment and flags, in that
//! order, each value knowing where it came from.
//!
//! A system declares a `const` table of [`Setting`]s; the host [loads](Resolved::load) all tables
//! at once, so that a key that nobody declared is refused wherever it comes from. All that is wrong
//! is told at once, each with the key, the value, its source and what is allowed.
//!
//! ```
//! use plimsoll_service::config::{Inputs, Kind, Resolved, Setting};
//!
//! const SETTINGS: &[Setting] = &[Setting::new(
//!     "gate.attempt_timeout_ms",
//!     "15000",
//!     Kind::Milliseconds { min: 100, max: 120_000 },
//!     "How long an attempt may take.",
//! )];
//! let environment = vec![("PLIMSOLL_GATE_ATTEMPT_TIMEOUT_MS".into(), "2000".into())];
//! let resolved = Resolved::load(&[SETTINGS], Inputs { environment, ..Inputs::default() })?;
//! assert_eq!(resolved.duration("gate.attempt_timeout_ms").as_secs(), 2);
//! # Ok::<(), plimsoll_service::config::ConfigError>(())
//! ```

mod error;
mod file;
mod load;
mod markdown;
mod nearest;
mod resolved;
mod setting;
mod show;
mod value;

pub use error::ConfigError;
pub(crate) use file::{LineNumbers, raw as raw_of_toml};
pub use load::{File, Inputs};
pub use markdown::markdown;
pub(crate) use nearest::nearest;
pub use resolved::{Entry, Reloaded, Resolved, Source};
pub use setting::{Changes, Kind, Setting, Tier};
pub(crate) use value::Raw;
pub use value::Value;
