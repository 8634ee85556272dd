//! Where it is shown.

use std::io::{self, IsTerminal as _};

use super::super::sample::{Rates, Sample};
use super::draw;
use super::plain::Plain;
use crate::stage::Live;

/// What shows the run.
pub(crate) struct Screen {
    rates: Rates,
    form: Form,
}

enum Form {
    Live(Box<Live>),
    Plain(Plain),
}

impl Screen {
    /// Drawn in place where standard output is a terminal and nothing else is asked of it.
    pub(crate) fn new(json: bool) -> Self {
        let live =
            (!json && io::stdout().is_terminal()).then(|| Live::new(draw::HEIGHT)).and_then(Result::ok);
        let form = live.map_or_else(|| Form::Plain(Plain::new(json)), |live| Form::Live(Box::new(live)));
        Self { rates: Rates::default(), form }
    }

    /// Says what happened; it stays.
    pub(crate) fn say(&mut self, line: &str) {
        match &mut self.form {
            Form::Live(live) => live.say(line, false),
            Form::Plain(plain) => plain.say(line),
        }
    }

    /// Says what nobody should miss; it stays.
    pub(crate) fn announce(&mut self, line: &str) {
        match &mut self.form {
            Form::Live(live) => live.say(line, true),
            Form::Plain(plain) => plain.say(&format!("*** {line}")),
        }
    }

    /// Shows how it stands.
    pub(crate) fn draw(&mut self, sample: &Sample) {
        self.rates.add(sample);
        match &mut self.form {
            Form::Live(live) => live.draw(|frame| draw::draw(frame, sample, &self.rates)),
            Form::Plain(plain) => plain.draw(sample, self.rates.now()),
        }
    }

    /// Takes away what was drawn in place; what was said stays.
    pub(crate) fn finish(&mut self) {
        if let Form::Live(live) = &mut self.form {
            live.finish();
        }
    }
}
