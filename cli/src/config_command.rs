//! `plimsoll config`: what is in force, and where it came from.

use std::io::{self, Write as _};
use std::process::ExitCode;

use plimsoll_hooks::settings::Settings;

use crate::flags;
use crate::{failed, misused};

/// Takes the flags of `serve`, so that what it prints is what `serve` would use.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: flags::Server,
    /// Print one JSON object: for each key its value, source, help and what is allowed
    #[arg(long)]
    json: bool,
}

/// Runs `plimsoll config`.
pub(crate) fn run(args: Args) -> ExitCode {
    let json = args.json;
    let resolved = match args.server.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return misused("config", &error),
    };
    let text = if json { format!("{:#}\n", resolved.to_json()) } else { resolved.to_table() };
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough, such as head, is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return failed("config", &error),
        _ => {}
    }
    // Shown all the same: who looks for the contradiction needs to see both sides of it.
    let jobs = plimsoll_jobs::settings::Settings::resolve(&resolved);
    match Settings::resolve(&resolved).and(jobs) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => misused("config", &error),
    }
}
