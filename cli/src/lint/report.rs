//! `plimsoll lint --report`: the history of the repository, counted and drawn.

use std::fmt::Display;
use std::path::Path;

use plimsoll_lint::Options;
use plimsoll_lint::history::{Span, page, survey, terminal};

use super::args::{Args, Format};
use super::judge::style;
use super::progress::Line;

/// Counts, and writes the page if one was asked for.
///
/// # Errors
/// There is no repository, git fails, or the page cannot be written.
pub(super) fn report(args: &Args, options: &Options) -> Result<String, Box<dyn Display>> {
    let history = {
        let line = Line::begin();
        let span = Span { months: args.months };
        survey(&args.path, options, span, &|done, months| {
            line.draw(|| format!("{done} of {months} months read"));
        })
        .map_err(|error| Box::new(error) as Box<dyn Display>)?
    };
    if let Some(file) = &args.html {
        let failed = |error| Box::new(format!("{}: {error}", file.display())) as Box<dyn Display>;
        std::fs::write(file, page(&history, &name(&args.path))).map_err(failed)?;
        eprintln!("plimsoll lint: {} is written", file.display());
    }
    if args.json || args.format == Format::Json {
        return Ok(format!("{:#}\n", history.to_json()));
    }
    Ok(terminal(&history, style()))
}

/// What the directory is called.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
