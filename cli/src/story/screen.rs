//! Where it is shown: drawn in place on a terminal, a line a second elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::draw::{self, HEIGHT};
use super::play::ENDPOINTS;
use super::sample::{Sample, Side};
use crate::naive;
use crate::stage::Live;
use crate::stage::number::{grouped, mebibytes};

/// At most one line in this time, where lines are written.
const EVERY: Duration = Duration::from_secs(1);

/// What shows the story.
pub(super) struct Screen {
    form: Form,
}

enum Form {
    Live(Box<Live>),
    Plain { to_stderr: bool, last: Option<Duration> },
}

impl Screen {
    /// Drawn in place where standard output is a terminal and nothing else is asked of it. Elsewhere the
    /// code is written first.
    pub(super) fn new(json: bool) -> Self {
        let live = (!json && io::stdout().is_terminal()).then(|| Live::new(HEIGHT)).and_then(Result::ok);
        let mut screen = match live {
            Some(live) => Self { form: Form::Live(Box::new(live)) },
            None => Self { form: Form::Plain { to_stderr: json, last: None } },
        };
        if let Form::Plain { .. } = screen.form {
            screen.say("the dispatcher without a bound:\n");
            code().for_each(|line| screen.say(&format!("    {line}")));
            screen.say("");
        }
        screen
    }

    /// Says what happened; it stays.
    pub(super) fn say(&mut self, line: &str) {
        match &mut self.form {
            Form::Live(live) => live.say(line, false),
            Form::Plain { to_stderr, .. } => {
                // Whoever does not read any more does not stop the story: its exit code still counts.
                let _ = if *to_stderr {
                    writeln!(io::stderr().lock(), "{line}")
                } else {
                    writeln!(io::stdout().lock(), "{line}")
                };
            }
        }
    }

    /// Says what nobody should miss; it stays.
    pub(super) fn announce(&mut self, line: &str) {
        match &mut self.form {
            Form::Live(live) => live.say(line, true),
            Form::Plain { .. } => self.say(&format!("*** {line}")),
        }
    }

    /// Shows how it stands.
    pub(super) fn draw(&mut self, sample: &Sample) {
        match &mut self.form {
            Form::Live(live) => live.draw(|frame| draw::draw(frame, sample)),
            // A little early is on time: samples come a little after each second.
            Form::Plain { last, .. } if last.is_some_and(|last| sample.at < last + EVERY - EVERY / 10) => {}
            Form::Plain { last, .. } => {
                *last = Some(sample.at);
                self.say(&line(sample));
            }
        }
    }

    /// Takes away what was drawn in place; what was said stays.
    pub(super) fn finish(&mut self) {
        if let Form::Live(live) = &mut self.form {
            live.finish();
        }
    }
}

/// The code of the dispatcher without a bound, from its function on.
pub(super) fn code() -> impl Iterator<Item = &'static str> {
    naive::DISPATCH.lines().skip_while(|line| !line.starts_with("pub"))
}

fn line(sample: &Sample) -> String {
    let side = |side: &Side| {
        if let Some(at) = side.died_at {
            return format!("dead since {:.1} s", at.as_secs_f64());
        }
        format!("{:>9}, owes {:>9}", mebibytes(side.rss_bytes), grouped(side.owed(ENDPOINTS as u64)))
    };
    let Sample { at, naive, ours, .. } = sample;
    format!("{:>5.1} s  without a bound {:<27}  plimsoll {}", at.as_secs_f64(), side(naive), side(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_the_code_that_runs() {
        let code: Vec<_> = code().collect();
        assert!(code[0].starts_with("pub(super) fn dispatch("), "{code:?}");
        assert!(code.iter().any(|line| line.contains("tokio::spawn")), "{code:?}");
        assert!(code.len() + 2 <= usize::from(HEIGHT), "it fits its place: {code:?}");
    }

    #[test]
    fn a_line_says_how_both_stand() {
        let mut sample = Sample { at: Duration::from_millis(7_250), ..Sample::default() };
        sample.naive.died_at = Some(Duration::from_secs(7));
        sample.ours = Side { accepted: 2, delivered: 1_000, rss_bytes: 41 << 20, ..Side::default() };
        let line = line(&sample);
        assert!(line.contains("dead since 7.0 s"), "{line}");
        assert!(line.contains("owes     9,000"), "{line}");
    }
}
