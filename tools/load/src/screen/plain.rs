//! A line a second, for pipes, logs and CI.

use std::io::{self, Write as _};

use super::Output;
use crate::figure::{bytes, count, millis};
use crate::report::Moment;
use crate::trial::View;

/// Lines on standard output, or on standard error where the output is for a program.
pub(super) struct Plain {
    output: Output,
    /// The moment that was told last.
    last_seconds: f64,
    doing: String,
}

impl Plain {
    pub(super) fn new(output: Output) -> Self {
        Self { output, last_seconds: f64::MIN, doing: String::new() }
    }

    pub(super) fn say(&mut self, line: &str) {
        // Whoever does not read any more does not stop the load: its exit code still counts.
        let _ = match self.output {
            Output::ForPrograms => writeln!(io::stderr().lock(), "{line}"),
            Output::ForPeople => writeln!(io::stdout().lock(), "{line}"),
        };
    }

    /// Tells of a moment once, and of what is being done where that has changed.
    pub(super) fn draw(&mut self, view: &View) {
        if self.doing != view.doing {
            self.doing.clone_from(&view.doing);
            let part = view.parts.iter().find(|part| part.name == view.doing);
            let rate = part.map(|part| format!(": {}/s for {} s", count(part.rate), count(part.seconds)));
            self.say(&format!("--- {}{}", view.doing, rate.unwrap_or_default()));
        }
        if let Some(moment) = view.moments.back().filter(|moment| moment.at_seconds > self.last_seconds) {
            self.last_seconds = moment.at_seconds;
            self.say(&line(moment, view));
        }
    }
}

fn line(moment: &Moment, view: &View) -> String {
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), millis);
    let memory = view.vitals.memory_bytes.map(|memory| format!("  memory {}", bytes(memory)));
    format!(
        "{:>6.0} s  due {:>7}/s  succeeded {:>7}/s  refused {:>7}/s  failed {:>6}/s  p50 {:>8}  p99 {:>8}  \
         under way {:>5}{}",
        moment.at_seconds,
        count(moment.due),
        count(moment.succeeded),
        count(moment.refused),
        count(moment.failed),
        ms(moment.p50_ms),
        ms(moment.p99_ms),
        view.in_flight,
        memory.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_stands_without_colours() {
        let moment = Moment {
            at_seconds: 7.0,
            due: 1_400.0,
            succeeded: 700.0,
            refused: 690.0,
            p99_ms: Some(12.0),
            ..Moment::default()
        };
        let line = line(&moment, &View::default());
        assert!(line.contains("7 s  due   1,400/s") && line.contains("p99    12 ms"), "{line}");
        assert!(
            line.contains("p50        -") && !line.contains('\u{1b}') && !line.contains("memory"),
            "{line}"
        );
    }
}
