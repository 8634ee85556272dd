//! The command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::args::{Args, Hooks, System};
use super::core;
use super::house::House;
use super::report::Report;
use crate::failed;
use crate::stage::{Stage, interrupted};

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs `plimsoll bench`.
pub(crate) fn run(args: Args) -> ExitCode {
    let System::Hooks(hooks) = args.system;
    // One thread: what drives must leave the machine to what is driven.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("bench", &error),
    };
    match runtime.block_on(measure_or_interrupted(&hooks)) {
        None => {
            eprintln!("plimsoll bench: interrupted; its processes are ended and its data is removed");
            ExitCode::from(INTERRUPTED)
        }
        Some(Err(why)) => failed("bench", &why),
        Some(Ok(report)) => {
            // Where nobody reads any more the exit code still counts.
            let _ = if hooks.json {
                let _ = write!(io::stderr(), "{}", report.text());
                writeln!(io::stdout(), "{}", report.json())
            } else {
                write!(io::stdout(), "{}", report.text())
            };
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

/// A line of progress.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

async fn measure_or_interrupted(args: &Hooks) -> Option<Result<Report, String>> {
    let spots = core::spots();
    let stage = match Stage::set_up(House::ports(&spots), &args.settings).await {
        Ok(stage) => stage,
        Err(why) => return Some(Err(why)),
    };
    let mut house = match House::furnish(stage, spots).await {
        Ok(house) => house,
        Err((stage, why)) => {
            stage.take_down().await;
            return Some(Err(why));
        }
    };
    let measured = tokio::select! {
        biased;
        () = interrupted() => None,
        measured = core::measure(&mut house, args) => Some(measured),
    };
    house.take_down().await;
    measured
}
