//! One run over a tree: read, lay beside the baseline, tell, and say whether it fails.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use plimsoll_lint::clippy::lint_tree_with_types;
use plimsoll_lint::output::{self, Outcome, Show, Style};
use plimsoll_lint::{Baseline, FailOn, Options, Progress, Renewal, Report, Settings, Tests, lint_tree};

use super::args::{Args, Format};
use super::progress::Line;

/// A file of which a line is shown is no longer than what is judged.
const SHOWN_BYTES_MAX: u64 = 2 << 20;

/// What was printed, and whether the run fails.
pub(super) struct Told {
    pub(super) text: String,
    pub(super) fails: bool,
}

/// Judges the tree.
///
/// # Errors
/// The settings or the baseline cannot be used, or clippy cannot.
pub(super) fn judge(args: &Args, settings: &Settings, options: &Options) -> Result<Told, Box<dyn Display>> {
    let file = baseline_file(args, settings);
    let baseline = match &file {
        Some(file) if args.write_baseline => Some(Baseline::read_or_empty(file).map_err(boxed)?),
        Some(file) => Some(Baseline::read(file).map_err(boxed)?),
        None if args.write_baseline => return Err(boxed("--write-baseline needs --baseline FILE")),
        None => None,
    };
    let started = plimsoll::clock::now();
    let report = read(args, options)?;
    let took = plimsoll::clock::now() - started;
    if let (true, Some(file), Some(baseline)) = (args.write_baseline, &file, &baseline) {
        let (renewed, renewal) = baseline.renewed(&report.findings, options);
        renewed.write(file).map_err(boxed)?;
        return Ok(Told { text: written(file, &renewal), fails: false });
    }
    let tests = if args.tests { Tests::Counted } else { Tests::Apart };
    let fail_on = args.fail_on.or(settings.fail_on).unwrap_or(FailOn::New);
    let mut outcome = Outcome::of(report, baseline.as_ref(), options, took);
    outcome.tests = tests;
    outcome.prefix = prefix(&args.path);
    outcome.failing = outcome.verdict.failing(fail_on, tests).count();
    Ok(Told { fails: outcome.failing > 0, text: text(args, &outcome) })
}

fn boxed(error: impl Display + 'static) -> Box<dyn Display> {
    Box::new(error)
}

/// That of the command line is from where we are, that of the settings from the root.
fn baseline_file(args: &Args, settings: &Settings) -> Option<PathBuf> {
    let of_settings = || settings.baseline.as_ref().map(|file| args.path.join(file));
    args.baseline.clone().or_else(of_settings)
}

fn read(args: &Args, options: &Options) -> Result<Report, Box<dyn Display>> {
    let line = Line::begin();
    let progress = |progress: Progress| {
        line.draw(|| format!("{} of {} files judged", progress.judged, progress.files));
    };
    if args.types {
        return lint_tree_with_types(&args.path, options, &progress).map_err(boxed);
    }
    Ok(lint_tree(&args.path, options, &progress))
}

fn text(args: &Args, outcome: &Outcome) -> String {
    match if args.json { Format::Json } else { args.format } {
        Format::Json => format!("{:#}\n", output::json(outcome)),
        Format::Sarif => format!("{:#}\n", output::sarif(outcome)),
        Format::Github => output::github(outcome),
        Format::Human => {
            let show = Show { style: style(), sites_max: args.show };
            output::human(outcome, show, &|path| source(&args.path, path))
        }
    }
}

/// Colours are for a terminal, and for whoever has not asked to be spared them.
pub(super) fn style() -> Style {
    let spared = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !spared { Style::Colours } else { Style::Plain }
}

fn source(root: &Path, path: &str) -> Option<String> {
    let file = if root.is_file() { root.to_owned() } else { root.join(path) };
    let mut text = String::new();
    File::open(file).ok()?.take(SHOWN_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// What stands before the paths of a report, so that they can be opened from here.
fn prefix(root: &Path) -> String {
    let root = if root.is_file() { root.parent().unwrap_or(Path::new("")) } else { root };
    let shown = root.to_string_lossy().replace('\\', "/");
    match shown.trim_end_matches('/').trim_start_matches("./") {
        "" if shown.starts_with('/') => "/".to_owned(),
        "" | "." => String::new(),
        shown => format!("{shown}/"),
    }
}

fn written(file: &Path, renewal: &Renewal) -> String {
    let Renewal { kept, added, dropped } = renewal;
    let mut text = format!(
        "{}: {} sites, {kept} kept, {added} added, {} dropped\n",
        file.display(),
        kept + added,
        dropped.len()
    );
    for entry in dropped.iter().filter(|entry| !entry.justification.trim().is_empty()) {
        // What somebody wrote is not lost without a word.
        text += &format!(
            "dropped {} {} {}: {}\n",
            entry.rule,
            entry.path,
            entry.what,
            entry.justification.trim()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_opened_from_where_the_command_was_given() {
        for (root, shown) in
            [(".", ""), ("./", ""), ("a/b", "a/b/"), ("./a/", "a/"), ("/", "/"), ("../a", "../a/")]
        {
            assert_eq!(prefix(Path::new(root)), shown, "{root}");
        }
    }
}
