//! The steps of `cargo xtask test`, and their order: what is quick and often wrong comes first.
//!
//! Steps share their builds. Lints and docs need no code of the dependencies, tests and doctests the
//! same debug build with all features, and the release build is made once.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;

use crate::command::{Log, works};
use crate::counts::{Counts, Format};
use crate::python::Python;
use crate::report::{self, Line, Outcome};
use crate::workspace::Workspace;
use crate::{border, footguns, modules, surface};

/// What to run, and how strictly.
pub(crate) struct Plan {
    /// Empty: all.
    pub(crate) only: Vec<String>,
    pub(crate) keep_going: bool,
    pub(crate) no_skip: bool,
}

struct Step {
    name: &'static str,
    checks: &'static str,
    needs: &'static [&'static str],
    run: fn(&Context, &mut Log) -> io::Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", checks: "the format: cargo fmt --check", needs: &[], run: fmt },
    Step {
        name: "border",
        checks: "crate borders, licences, bans, the tables of ARCHITECTURE.md and docs/footguns.md against the tree",
        needs: &[],
        run: borders,
    },
    Step {
        name: "surface",
        checks: "the public surface of lib/* against lib/*/surface.txt, and that each item has an example",
        needs: &[],
        run: surfaces,
    },
    Step {
        name: "clippy",
        checks: "no warning: cargo clippy --workspace --all-targets --all-features -- -D warnings",
        needs: &[],
        run: clippy,
    },
    Step {
        name: "tests",
        checks: "the tests, the crash test among them: cargo nextest run, or cargo test",
        needs: &[],
        run: tests,
    },
    Step {
        name: "doctests",
        checks: "the examples in the docs: cargo test --doc",
        needs: &[],
        run: doctests,
    },
    Step {
        name: "docs",
        checks: "the docs: cargo doc --workspace --no-deps --all-features, warnings denied",
        needs: &[],
        run: docs,
    },
    Step {
        name: "loom",
        checks: "every interleaving: lib/plimsoll/tests/loom_*.rs with --cfg plimsoll_loom",
        needs: &[],
        run: loom,
    },
    Step {
        name: "release",
        checks: "the binary: cargo build --release --package plimsoll-cli",
        needs: &[],
        run: release,
    },
    Step {
        name: "lint",
        checks: "no concurrency without a bound in our own tree, with no baseline: plimsoll lint",
        needs: &["release"],
        run: lint,
    },
    Step {
        name: "sdk",
        checks: "the release binary end to end with Svix's Python SDK: tests/sdk/test_sdk.py",
        needs: &["release"],
        run: sdk,
    },
];

struct Context {
    workspace: Workspace,
}

/// The names of all steps, for the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

/// Prints what there is.
pub(crate) fn list() {
    for step in STEPS {
        println!("  {:<9}{}", step.name, step.checks);
    }
}

/// Runs the plan; whether all is well.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let context = Context { workspace: Workspace::read().map_err(io::Error::other)? };
    let logs = context.workspace.target.join("xtask");
    let mut lines: Vec<Line> = Vec::new();
    for step in STEPS.iter().filter(|step| is_wanted(step, &plan.only)) {
        let broken = |line: &Line| matches!(line.outcome, Outcome::Failed(_) | Outcome::NotRun);
        let blocked =
            lines.iter().any(|line| broken(line) && (!plan.keep_going || step.needs.contains(&line.step)));
        lines.push(if blocked {
            Line { step: step.name, outcome: Outcome::NotRun, took: Duration::ZERO }
        } else {
            one(step, &context, plan, &logs)?
        });
    }
    println!("\n{}", report::summary(&lines));
    Ok(lines.iter().all(|line| matches!(line.outcome, Outcome::Passed(_) | Outcome::Skipped(_))))
}

/// Writes the listings of the public surface, and says which have changed.
pub(crate) fn write_surface() -> io::Result<()> {
    let root = Workspace::read().map_err(io::Error::other)?.root;
    for file in surface::write(&root)? {
        println!("written: {}", file.strip_prefix(&root).unwrap_or(&file).display());
    }
    Ok(())
}

fn is_wanted(step: &Step, only: &[String]) -> bool {
    let named = |name: &str| only.iter().any(|wanted| wanted == name);
    let needed = STEPS.iter().any(|other| named(other.name) && other.needs.contains(&step.name));
    only.is_empty() || named(step.name) || needed
}

fn one(step: &Step, context: &Context, plan: &Plan, logs: &Path) -> io::Result<Line> {
    let mut log = Log::create(logs, step.name)?;
    print!("{:<9}", step.name);
    io::stdout().flush()?;
    let start = now();
    let outcome = (step.run)(context, &mut log)
        .or_else(|error| log.line(&format!("xtask: {error}")).map(|()| Outcome::Failed(Counts::default())))?;
    let took = start.elapsed();
    let outcome = match outcome {
        Outcome::Skipped(why) if plan.no_skip => {
            log.line(&format!("may not be skipped in CI: {why}"))?;
            Outcome::Failed(Counts::default())
        }
        outcome => outcome,
    };
    println!("{:<9}{:>10}   {}", outcome.word(), report::time(took), outcome.remark());
    if matches!(outcome, Outcome::Failed(_)) {
        println!("{}\n", log.tail()?);
    }
    Ok(Line { step: step.name, outcome, took })
}

#[expect(clippy::disallowed_methods, reason = "how long a step took in the world is what is asked")]
fn now() -> Instant {
    Instant::now()
}

impl Context {
    fn cargo(&self, words: &str) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Colours would stand between the reader of the counts and the numbers.
        command
            .args(words.split_whitespace())
            .current_dir(&self.workspace.root)
            .env("CARGO_TERM_COLOR", "never");
        command
    }

    fn target(&self, path: &str) -> PathBuf {
        self.workspace.target.join(path)
    }

    /// What the step `release` builds.
    fn binary(&self) -> PathBuf {
        self.target("release").join(format!("plimsoll{}", std::env::consts::EXE_SUFFIX))
    }
}

fn passed(good: bool) -> Outcome {
    if good { Outcome::Passed(Counts::default()) } else { Outcome::Failed(Counts::default()) }
}

fn counted(good: bool, log: &Log, format: Format) -> io::Result<Outcome> {
    let counts = Counts::read(&log.text()?, format);
    Ok(if good { Outcome::Passed(counts) } else { Outcome::Failed(counts) })
}

fn fmt(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    log.run(&mut context.cargo("fmt --all --check")).map(passed)
}

fn borders(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let mut told = border::crossed(&context.workspace);
    told.extend(modules::disagreements(&context.workspace)?);
    told.extend(footguns::without_a_test(&context.workspace.root)?);
    for line in &told {
        log.line(line)?;
    }
    Ok(passed(told.is_empty()))
}

fn surfaces(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let mut told = surface::differences(&context.workspace.root)?;
    told.extend(surface::without_example(&context.workspace.root)?);
    for line in &told {
        log.line(line)?;
    }
    Ok(passed(told.is_empty()))
}

fn clippy(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    log.run(&mut context.cargo("clippy --workspace --all-targets --all-features -- -D warnings")).map(passed)
}

fn tests(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    if works(&mut context.cargo("nextest --version")) {
        let good = log.run(&mut context.cargo("nextest run --workspace --all-features --no-fail-fast"))?;
        return counted(good, log, Format::Nextest);
    }
    // `--all-targets` would run benches as well, and leaves the doctests to their own step.
    let good =
        log.run(&mut context.cargo("test --workspace --all-features --no-fail-fast --lib --bins --tests"))?;
    counted(good, log, Format::Cargo)
}

fn doctests(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let good = log.run(&mut context.cargo("test --doc --workspace --all-features --no-fail-fast"))?;
    counted(good, log, Format::Cargo)
}

fn docs(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let mut command = context.cargo("doc --workspace --no-deps --all-features");
    log.run(command.env("RUSTDOCFLAGS", "-D warnings")).map(passed)
}

fn loom(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let mut models = Vec::new();
    for entry in fs::read_dir(context.workspace.root.join("lib/plimsoll/tests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        models.extend(name.strip_suffix(".rs").filter(|name| name.starts_with("loom_")).map(str::to_owned));
    }
    models.sort();
    if models.is_empty() {
        log.line("lib/plimsoll/tests has no loom_*.rs")?;
        return Ok(passed(false));
    }
    let mut command = context.cargo("test --package plimsoll --release --no-fail-fast");
    for model in &models {
        command.args(["--test", model]);
    }
    // Its own folder: the flag changes every crate, and the next build would build all again.
    command.arg("--target-dir").arg(context.target("loom")).env("RUSTFLAGS", "--cfg plimsoll_loom");
    // Models need optimised code, and nobody keeps these binaries: linking fast is worth more.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    let good = log.run(&mut command)?;
    counted(good, log, Format::Cargo)
}

fn release(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    log.run(&mut context.cargo("build --release --package plimsoll-cli")).map(passed)
}

fn lint(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let mut command = Command::new(context.binary());
    // Tests are told and do not count, as for everybody.
    command.args(["lint", "--fail-on", "any", "--show", "100"]).arg(&context.workspace.root);
    log.run(&mut command).map(passed)
}

fn sdk(context: &Context, log: &mut Log) -> io::Result<Outcome> {
    let tests = context.workspace.root.join("tests/sdk");
    let python = match Python::ready(&context.workspace.target, &tests.join("requirements.txt"), log)? {
        Ok(python) => python,
        Err(missing) => return Ok(Outcome::Skipped(missing)),
    };
    let good = log.run(python.script(&tests.join("test_sdk.py")).arg(context.binary()))?;
    counted(good, log, Format::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_brings_what_it_needs_and_what_it_needs_comes_before_it() {
        let wanted = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            STEPS.iter().filter(|step| is_wanted(step, &only)).map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&["sdk"]), ["release", "sdk"]);
        assert_eq!(wanted(&["fmt"]), ["fmt"]);
        assert_eq!(wanted(&[]).len(), STEPS.len());
        for (at, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(STEPS[..at].iter().any(|before| before.name == *need), "{} needs {need}", step.name);
            }
        }
    }
}
