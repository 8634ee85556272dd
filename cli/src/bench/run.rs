//! The command.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::args::{Args, Hooks, System};
use super::core;
use super::report::Report;
use super::scenario::{self, Outcome, Scale, Scenario};
use super::site::Site;
use crate::failed;
use crate::stage::interrupted;

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs `plimsoll bench`.
pub(crate) fn run(args: Args) -> ExitCode {
    let System::Hooks(hooks) = args.system;
    if hooks.list {
        print(&scenario::list());
        return ExitCode::SUCCESS;
    }
    // One thread: what drives must leave the machine to what is driven.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("bench", &error),
    };
    runtime.block_on(async {
        let mut site = Site::new(&hooks.settings);
        let code = tokio::select! {
            biased;
            () = interrupted() => None,
            code = measure_or_play(&mut site, &hooks) => Some(code),
        };
        site.clear().await;
        code.unwrap_or_else(|| {
            eprintln!("plimsoll bench: interrupted; its processes are ended and its data is removed");
            ExitCode::from(INTERRUPTED)
        })
    })
}

/// A line of progress.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Where nobody reads any more the exit code still counts.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Text for a person: beside JSON it goes where the JSON does not.
fn tell(args: &Hooks, text: &str) {
    if args.json {
        let _ = io::stderr().write_all(text.as_bytes());
    } else {
        print(text);
    }
}

async fn measure_or_play(site: &mut Site, args: &Hooks) -> ExitCode {
    match &args.scenario {
        Some(choice) => play(site, args, choice.scenarios()).await,
        None => match measure(site, args).await {
            Err(why) => failed("bench", &why),
            Ok(report) => {
                tell(args, &report.text());
                if args.json {
                    print(&format!("{}\n", report.json()));
                }
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
                tell(args, &outcome.text());
                if args.json {
                    print(&format!("{}\n", outcome.json()));
                }
                outcomes.push(outcome);
            }
        }
    }
    if scenarios.len() > 1 {
        tell(args, &format!("\n{}", scenario::table(&outcomes)));
    }
    let good = !broken && outcomes.iter().all(Outcome::passed);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
