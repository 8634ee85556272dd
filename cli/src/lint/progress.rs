//! A line on a terminal that says how far a long run is.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use plimsoll::clock::Instant;

/// A run that is shorter says nothing.
const PATIENCE: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(100);

/// Where the line is drawn: standard error, if that is a terminal.
pub(super) struct Line {
    /// When it may be drawn next; nothing where nobody looks.
    next: Option<Mutex<Instant>>,
}

impl Line {
    pub(super) fn begin() -> Self {
        let seen = io::stderr().is_terminal();
        Self { next: seen.then(|| Mutex::new(plimsoll::clock::now() + PATIENCE)) }
    }

    /// Draws it, unless it was drawn just now or somebody else is at it.
    pub(super) fn draw(&self, text: impl FnOnce() -> String) {
        let Some(next) = &self.next else { return };
        let Ok(mut next) = next.try_lock() else { return };
        let now = plimsoll::clock::now();
        if now >= *next {
            *next = now + PAUSE;
            // A terminal that does not take it does not stop the run.
            let _ = write!(io::stderr(), "\r\x1b[K{}", text());
            let _ = io::stderr().flush();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.next.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
