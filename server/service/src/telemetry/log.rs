//! Logs, on stderr.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// A filter that is not one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidFilter {
    filter: String,
    reason: String,
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filter, reason } = self;
        write!(
            f,
            "log is {filter:?}: {reason}; allowed is a level, or levels by module: info,plimsoll_hooks=debug"
        )
    }
}

impl std::error::Error for InvalidFilter {}

/// Begins to log to stderr what `filter` lets through, in colours on a terminal.
///
/// The first call of the process decides; later ones change nothing.
///
/// # Errors
/// When `filter` is not one.
pub fn init_logs(filter: &str) -> Result<(), InvalidFilter> {
    let parsed = parse(filter)?;
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(parsed).with_ansi(colours).with_writer(std::io::stderr);
    // Refused only when there is a subscriber already, which is then the one to keep.
    let _ = tracing::subscriber::set_global_default(subscriber.finish());
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, InvalidFilter> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|error| InvalidFilter { filter: filter.into(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_not_one_is_refused_and_shown() {
        assert!(parse("info").is_ok() && parse("warn,plimsoll_hooks=debug").is_ok());
        let refused = parse("plimsoll=loud").unwrap_err().to_string();
        assert!(refused.contains("plimsoll=loud"), "{refused}");
    }
}
