//! The command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::Args;
use super::play::play;
use super::report::Report;
use super::screen::Screen;
use super::shape::Shape;
use crate::stage::{Stage, interrupted};
use crate::{failed, misused};

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// What the demo sets differently from the defaults: an outage must run its course in seconds
/// instead of in a day. One retry, at once: so some deliveries die before the breakers, which are
/// as they ship but for their times, keep the rest from being tried.
const SETTINGS: [&str; 5] = [
    "hooks.retry_schedule_seconds=0",
    "hooks.breaker_open_seconds=1",
    "hooks.breaker_open_seconds_max=2",
    "hooks.attempt_timeout_ms=2000",
    "hooks.connect_timeout_ms=1000",
];

/// How it ended.
enum End {
    Played(Box<Report>),
    Failed(String),
    Interrupted,
}

/// Runs `plimsoll demo`.
pub(crate) fn run(args: Args) -> ExitCode {
    let shape = match Shape::new(&args) {
        Ok(shape) => shape,
        Err(why) => return misused("demo", &why),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("demo", &error),
    };
    match runtime.block_on(play_or_interrupted(&shape, args.json)) {
        End::Played(report) => {
            // Where nobody reads any more the exit code still counts.
            let _ = if args.json {
                let _ = write!(io::stderr(), "{}", report.text());
                writeln!(io::stdout(), "{}", report.json())
            } else {
                write!(io::stdout(), "{}", report.text())
            };
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        End::Failed(why) => failed("demo", &why),
        End::Interrupted => {
            eprintln!("plimsoll demo: interrupted; its processes are ended and its data is removed");
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn play_or_interrupted(shape: &Shape, json: bool) -> End {
    let mut stage = None;
    let settings = SETTINGS.map(str::to_owned);
    let mut screen = Screen::new(json);
    let end = tokio::select! {
        biased;
        () = interrupted() => End::Interrupted,
        played = async {
            let stage = stage.insert(Stage::set_up(shape.ports(), &settings).await?);
            play(shape, stage, &mut screen).await
        } => match played {
            Ok(report) => End::Played(Box::new(report)),
            Err(why) => End::Failed(why),
        },
    };
    screen.finish();
    if let Some(stage) = stage {
        stage.take_down().await;
    }
    end
}
