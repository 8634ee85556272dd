//! The command: what is asked, and how it ends.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use plimsoll_lint::{Options, Rule, Settings, Vendored, handbook};

use super::args::{Args, Format};
use super::{judge, report};
use crate::{failed, misused};

/// Runs `plimsoll lint`.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(text) = page(args) {
        return print(&text, ExitCode::SUCCESS);
    }
    if let Err(error) = args.path.metadata() {
        return misused("lint", &format!("{}: {error}", args.path.display()));
    }
    let settings = match Settings::of(&args.path) {
        Ok(settings) => settings,
        Err(error) => return misused("lint", &error),
    };
    let options = options(args, &settings);
    if args.report {
        if matches!(args.format, Format::Sarif | Format::Github) {
            return misused("lint", &"--report is told as human or json");
        }
        return match report::report(args, &options) {
            Ok(text) => print(&text, ExitCode::SUCCESS),
            Err(error) => misused("lint", &error),
        };
    }
    match judge::judge(args, &settings, &options) {
        Ok(told) => print(&told.text, if told.fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
        Err(error) => misused("lint", &error),
    }
}

/// What needs no code to be read.
fn page(args: &Args) -> Option<String> {
    if let Some(rule) = args.explain {
        return Some(format!("{}\n", rule.page().trim_end()));
    }
    if args.rules {
        let mut text = String::new();
        for rule in Rule::ALL {
            let _ = writeln!(text, "{}  {:<22}{}", rule.code(), rule.name(), rule.title());
        }
        text.push_str("\nplimsoll lint --explain PL001 says what a rule means, and what to write instead.\n");
        return Some(text);
    }
    args.markdown.then(handbook)
}

fn options(args: &Args, settings: &Settings) -> Options {
    let mut options = Options { exclude: settings.exclude.clone(), ..Options::default() };
    options.levels.clone_from(&settings.levels);
    options.levels.extend(args.level.iter().copied());
    if args.vendored {
        options.vendored = Vendored::Read;
    }
    options
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough, such as head, is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed("lint", &error),
        _ => code,
    }
}
