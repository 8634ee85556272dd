//! `plimsoll config`: what is in force, and where it came from.

use std::io::{self, Write as _};
use std::process::ExitCode;

use plimsoll_hooks::settings::{SETTINGS as HOOKS, Settings};
use plimsoll_jobs::settings::SETTINGS as JOBS;
use plimsoll_service::config::markdown;
use plimsoll_service::policy::{Field, Of};
use plimsoll_service::settings::SETTINGS as SERVER;

use crate::flags::{self, policy_fields};
use crate::{failed, misused};

/// What the page of all settings begins with.
const PAGE_HEAD: &str = include_str!("settings_page.md");

/// Takes the flags of `serve`, so that what it prints is what `serve` would use.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: flags::Server,
    /// Print one JSON object: for each key its value, source, help and what is allowed
    #[arg(long)]
    json: bool,
    /// Print the page of the handbook instead, docs/settings.md: every setting and every field of a policy
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// Runs `plimsoll config`.
pub(crate) fn run(args: Args) -> ExitCode {
    let (json, markdown) = (args.json, args.markdown);
    let resolved = match args.server.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return misused("config", &error),
    };
    let text = match (markdown, json) {
        (true, _) => handbook(),
        (false, true) => format!("{:#}\n", resolved.to_json()),
        (false, false) => resolved.to_table(),
    };
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

/// Every setting and every field of a policy, in Markdown.
fn handbook() -> String {
    let fields: String = policy_fields()
        .iter()
        .map(|Field { name, kind, of, help }| {
            let of = match of {
                Of::All => "`defaults`, `org`, `app`",
                Of::Organisations => "`defaults`, `org`",
            };
            format!("| `{name}` | {of} | {kind} | {help} |\n")
        })
        .collect();
    let tables = [("The server", SERVER), ("Hooks", HOOKS), ("Jobs", JOBS)];
    format!(
        "{PAGE_HEAD}{}\n### Fields of a policy\n\n| field | in | allowed | what it does |\n| --- | --- | --- | --- |\n{fields}",
        markdown(&tables)
    )
}
