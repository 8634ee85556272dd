//! The command.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::args::{Args, Hooks, Jobs, System};
use super::core;
use super::jobs;
use super::report::Report;
use super::scenario::{self, Outcome, Scale, Scenario};
use super::site::Site;
use crate::failed;
use crate::stage::{Bare, interrupted};

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs `plimsoll bench`.
pub(crate) fn run(args: Args) -> ExitCode {
    if let System::Hooks(Hooks { list: true, .. }) = args.system {
        print(&scenario::list());
        return ExitCode::SUCCESS;
    }
    // One thread: what drives must leave the machine to what is driven.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("bench", &error),
    };
    let code = runtime.block_on(async {
        match args.system {
            System::Hooks(hooks) => run_hooks(&hooks).await,
            System::Jobs(jobs) => run_jobs(&jobs).await,
        }
    });
    code.unwrap_or_else(|| {
        eprintln!("plimsoll bench: interrupted; its processes are ended and its data is removed");
        ExitCode::from(INTERRUPTED)
    })
}

/// How it ended; `None` where it was interrupted.
async fn run_hooks(hooks: &Hooks) -> Option<ExitCode> {
    let mut site = Site::new(&hooks.settings);
    let code = tokio::select! {
        biased;
        () = interrupted() => None,
        code = measure_or_play(&mut site, hooks) => Some(code),
    };
    site.clear().await;
    code
}

/// As [`run_hooks`].
async fn run_jobs(args: &Jobs) -> Option<ExitCode> {
    let mut ground = None;
    let code = tokio::select! {
        biased;
        () = interrupted() => None,
        code = measure_jobs(&mut ground, args) => Some(code),
    };
    if let Some(ground) = ground {
        ground.take_down().await;
    }
    code
}

async fn measure_jobs(ground: &mut Option<Bare>, args: &Jobs) -> ExitCode {
    let measured = async {
        let ground = ground.insert(Bare::set_up(&args.settings).await?);
        jobs::measure(ground, args).await
    };
    match measured.await {
        Err(why) => failed("bench", &why),
        Ok(report) => {
            publish(&report.text(), args.json.then(|| report.json()));
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

/// A line of progress.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Where nobody reads any more the exit code still counts.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Text for a person, and where it is asked for JSON for a program: the text then goes where the JSON
/// does not.
fn publish(text: &str, json: Option<Value>) {
    match json {
        None => print(text),
        Some(json) => {
            let _ = io::stderr().write_all(text.as_bytes());
            print(&format!("{json}\n"));
        }
    }
}

async fn measure_or_play(site: &mut Site, args: &Hooks) -> ExitCode {
    match &args.scenario {
        Some(choice) => play(site, args, choice.scenarios()).await,
        None => match measure(site, args).await {
            Err(why) => failed("bench", &why),
            Ok(report) => {
                publish(&report.text(), args.json.then(|| report.json()));
                if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
        },
    }
}

async fn measure(site: &mut Site, args: &Hooks) -> Result<Report, String> {
    site.with_house(core::spots(), &[], async |house| core::measure(house, args).await).await
}

async fn play(site: &mut Site, args: &Hooks, scenarios: &[Scenario]) -> ExitCode {
    let scale = Scale { span: Duration::from_secs(args.seconds.into()) };
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(scenarios.len());
    let mut broken = false;
    for scenario in scenarios {
        say(&format!("{}: {}", scenario.name(), scenario.what()));
        match scenario.run(site, scale).await {
            Err(why) => {
                // One that cannot be played does not hide the others.
                failed("bench", &format!("{}: {why}", scenario.name()));
                broken = true;
            }
            Ok(outcome) => {
                publish(&outcome.text(), args.json.then(|| outcome.json()));
                outcomes.push(outcome);
            }
        }
    }
    if scenarios.len() > 1 {
        let table = format!("\n{}", scenario::table(&outcomes));
        if args.json { say(&table) } else { print(&table) }
    }
    let good = !broken && outcomes.iter().all(Outcome::passed);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
