//! `plimsoll load` from beginning to end.

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

use plimsoll_load::check::{self, Ceiling};
use plimsoll_load::judge::{State, Verdict};
use plimsoll_load::report::{self, Record};
use plimsoll_load::screen::{self, Screen};
use plimsoll_load::trial::{Trial, find_bound};
use plimsoll_load::{Error, Plan};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::{Args, Output};
use super::plan;
use crate::stage::interrupted;
use crate::{MISUSED, misused};

/// Runs it.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let [first, second] = args.output.compare.as_slice() {
        return compare(first, second, args.output.json);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return not_judged(&error),
    };
    match runtime.block_on(until_interrupted(args)) {
        Ok(record) => told(&record, &args.output),
        Err(error @ (Error::Target { .. } | Error::Machine { .. })) => not_judged(&error),
        Err(error) => misused("load", &error),
    }
}

/// The load, with one ear for signals from its beginning to its end: one that comes between two parts of
/// it stops the next.
async fn until_interrupted(args: &Args) -> Result<Record, Error> {
    let stop = CancellationToken::new();
    let mut load = pin!(load(args, &stop));
    let mut interrupted = pin!(interrupted());
    loop {
        tokio::select! {
            record = &mut load => return record,
            () = &mut interrupted, if !stop.is_cancelled() => stop.cancel(),
        }
    }
}

async fn load(args: &Args, stop: &CancellationToken) -> Result<Record, Error> {
    let plan = plan::plan(args)?;
    let source = plan::source(&args.watch)?;
    if let Some(path) = &args.output.report {
        plan::writable(path)?;
    }
    let output = if args.output.json { screen::Output::ForPrograms } else { screen::Output::ForPeople };
    if !args.ask.find_bound {
        let mut trial = match args.ask.bound {
            Some(bound) => Trial::of_bound(plan, plan::terms(&args.ask, bound), source)?,
            None => Trial::measure(plan, source),
        };
        trial.ceiling = ceiling(&trial.plan, args, stop).await?;
        return trial.carry_out(&mut Screen::new(output), stop.cancelled()).await;
    }
    let settings = plan::search(&args.ask)?;
    // What is wrong with the phases is told before the search, not after its minutes.
    plan::terms(&args.ask, settings.from).check()?;
    let mut screen = Screen::new(output);
    let search = find_bound(&plan, settings, &mut screen, stop.cancelled()).await?;
    let bound = search.finding.bound.as_ref().ok().map(|bound| bound.per_second.value);
    match bound {
        Some(bound) if args.ask.then_phases => {
            let mut trial = Trial::of_bound(plan, plan::terms(&args.ask, bound), source)?;
            trial.ceiling = ceiling(&trial.plan, args, stop).await?;
            let record = trial.carry_out(&mut screen, stop.cancelled()).await?;
            Ok(Record { search: Some(search), ..record })
        }
        _ => Ok(Record::of_search(&plan, search)),
    }
}

/// How much the generator itself could send, where that was asked for and nobody stops it.
async fn ceiling(plan: &Plan, args: &Args, stop: &CancellationToken) -> Result<Option<Ceiling>, Error> {
    if !args.wire.self_check {
        return Ok(None);
    }
    tokio::select! {
        measured = check::ceiling(plan, stop) => measured.map(Some),
        () = stop.cancelled() => Ok(None),
    }
}

/// Prints what came of it, and writes what was asked for.
fn told(record: &Record, output: &Output) -> ExitCode {
    let mut code = record.verdict.exit_code();
    let mut text = summary(record);
    // First: whoever reads the output may have ended before the page is written.
    if let Some(path) = &output.report {
        match std::fs::write(path, report::html(record)) {
            Ok(()) => text.push_str(&format!("The page: {}\n", path.display())),
            Err(error) => {
                text.push_str(&format!("plimsoll load: {}: {error}\n", path.display()));
                // What did not hold is told before what could not be written.
                code = if code == 0 { MISUSED } else { code };
            }
        }
    }
    if output.json {
        print(record);
        write(std::io::stderr(), &text);
    } else {
        write(std::io::stdout(), &text);
    }
    ExitCode::from(code)
}

fn print(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => write(std::io::stdout(), &format!("{text}\n")),
        Err(error) => eprintln!("plimsoll load: it cannot be written as JSON: {error}"),
    }
}

/// Whoever does not read any more still gets the exit code.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// What came of it, for a person.
fn summary(record: &Record) -> String {
    let mut text = String::from("\n");
    if let Some(search) = &record.search {
        for line in search.finding.explained() {
            text.push_str(&format!("{line}\n"));
        }
        text.push('\n');
    }
    text.push_str(&report::table(record));
    for assertion in &record.assertions {
        let mark = match assertion.state {
            State::Held => "held",
            State::Broken => "BROKEN",
            State::NotChecked => "not checked",
            State::NotJudged => "not judged",
            State::Open => "open",
        };
        text.push_str(&format!("  {mark:<12}{:<22}{}\n", assertion.name, assertion.seen));
    }
    for line in &record.not_checked {
        text.push_str(&format!("  not checked: {line}\n"));
    }
    for line in &record.generator.seen {
        text.push_str(&format!("  generator: {line}\n"));
    }
    if record.verdict != Verdict::Measured || !record.because.is_empty() {
        text.push_str(&format!("{}: {}\n", record.target, record.verdict.words()));
        for line in &record.because {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn compare(first: &std::path::Path, second: &std::path::Path, json: bool) -> ExitCode {
    let both = Record::read(first).and_then(|first| Ok((first, Record::read(second)?)));
    match both {
        Ok((first, second)) => {
            let comparison = report::compare(&first, &second);
            if json {
                print(&comparison);
            } else {
                write(std::io::stdout(), &comparison.text());
            }
            ExitCode::SUCCESS
        }
        Err(why) => misused("load", &why),
    }
}

fn not_judged(problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("plimsoll load: {problem}");
    ExitCode::from(Verdict::NotJudged.exit_code())
}
