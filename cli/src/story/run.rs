//! The command.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::play::{Played, play};
use super::screen::Screen;
use super::sides::PORTS;
use crate::failed;
use crate::stage::{Stage, interrupted};

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs `plimsoll demo --story`.
pub(crate) fn run(json: bool) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("demo", &error),
    };
    match runtime.block_on(play_or_interrupted(json)) {
        Some(Ok(played)) => {
            // Where nobody reads any more the exit code still counts.
            let _ = if json {
                let _ = write!(io::stderr(), "{}", played.text());
                writeln!(io::stdout(), "{}", played.json())
            } else {
                write!(io::stdout(), "{}", played.text())
            };
            if played.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Some(Err(why)) => failed("demo", &why),
        None => {
            eprintln!("plimsoll demo: interrupted; its processes are ended and its data is removed");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// `None` where it was interrupted.
async fn play_or_interrupted(json: bool) -> Option<Result<Played, String>> {
    let mut stage = None;
    let mut screen = Screen::new(json);
    let played = tokio::select! {
        biased;
        () = interrupted() => None,
        played = async {
            let stage = stage.insert(Stage::set_up(PORTS, &[]).await?);
            play(stage, &mut screen).await
        } => Some(played),
    };
    screen.finish();
    if let Some(stage) = stage {
        stage.take_down().await;
    }
    played
}
