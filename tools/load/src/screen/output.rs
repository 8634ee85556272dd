//! Where a trial is shown: drawn on a terminal, told in lines elsewhere.

use std::io::{self, IsTerminal as _, Stdout, Write as _};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};

use super::{draw, plain};
use crate::trial::{Show, View};

/// Keys that are taken at a time: whoever leans on the keyboard does not hold up the load.
const KEYS_MAX: usize = 64;

/// What shows a trial.
pub struct Screen {
    form: Form,
}

enum Form {
    Live(Box<Live>),
    Plain(plain::Plain),
}

struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// What was said while it was drawn: written when the drawing has gone.
    said: Vec<String>,
    restored: bool,
}

impl Screen {
    /// Drawn where standard output is a terminal and nothing else is to be written to it.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let live =
            (output == Output::ForPeople && io::stdout().is_terminal()).then(Live::new).and_then(Result::ok);
        let form = match live {
            Some(live) => Form::Live(Box::new(live)),
            None => Form::Plain(plain::Plain::new(output)),
        };
        Self { form }
    }

    /// Takes the drawing away; what was said while it was there is written then.
    pub fn finish(&mut self) {
        if let Form::Live(live) = &mut self.form {
            live.restore();
        }
    }
}

/// For whom standard output is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// For people: progress goes there.
    ForPeople,
    /// For a program: progress goes to standard error.
    ForPrograms,
}

impl Show for Screen {
    fn say(&mut self, line: &str) {
        match &mut self.form {
            Form::Live(live) => live.said.push(line.to_owned()),
            Form::Plain(plain) => plain.say(line),
        }
    }

    fn draw(&mut self, view: &View) {
        match &mut self.form {
            Form::Live(live) => {
                let said = live.said.last().map_or("", String::as_str);
                // A terminal that does not take it does not stop the load.
                let _ = live.terminal.draw(|frame| draw::draw(frame, view, said));
            }
            Form::Plain(plain) => plain.draw(view),
        }
    }

    fn stop_asked(&mut self) -> bool {
        matches!(self.form, Form::Live(_)) && (0..KEYS_MAX).map_while(|_| key()).any(|key| key == Key::Stop)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Stop,
    Other,
}

/// The next key that was pressed, if there is one.
fn key() -> Option<Key> {
    if !event::poll(Duration::ZERO).ok()? {
        return None;
    }
    let Event::Key(key) = event::read().ok()? else { return Some(Key::Other) };
    // The terminal is in raw mode, where Ctrl-C is a key like any other.
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let stop = matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc) || interrupt;
    Some(if stop { Key::Stop } else { Key::Other })
}

impl Live {
    fn new() -> io::Result<Self> {
        enable_raw_mode()?;
        let made = execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match made {
            Ok(terminal) => Ok(Self { terminal, said: Vec::new(), restored: false }),
            Err(error) => {
                let _ = disable_raw_mode();
                Err(error)
            }
        }
    }

    fn restore(&mut self) {
        if self.restored {
            return;
        }
        self.restored = true;
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let mut output = io::stdout().lock();
        for line in self.said.drain(..) {
            let _ = writeln!(output, "{line}");
        }
        let _ = output.flush();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Also on a panic, whose message would else be written over the drawing.
        self.restore();
    }
}
