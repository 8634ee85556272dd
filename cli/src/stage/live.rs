//! A few lines at the bottom of the terminal that are drawn again and again; what was said scrolls
//! by above them.
//!
//! The terminal stays as it is, not in raw mode: Ctrl-C works as always, and a show that dies leaves
//! nothing to repair but the cursor.

use std::io::{self, Stdout, Write as _};

use ratatui::backend::CrosstermBackend;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Widget as _;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

/// The drawing.
pub(crate) struct Live {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    finished: bool,
}

impl Live {
    /// Makes room for so many lines below what is on the terminal.
    ///
    /// # Errors
    /// The terminal does not say where its cursor is.
    pub(crate) fn new(height: u16) -> io::Result<Self> {
        let options = TerminalOptions { viewport: Viewport::Inline(height) };
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?;
        Ok(Self { terminal, finished: false })
    }

    /// Writes a line above the drawing. A terminal that does not take it does not stop the show.
    pub(crate) fn say(&mut self, text: &str, loudly: bool) {
        let style = if loudly { Style::new().bold().white().on_red() } else { Style::new() };
        let width = self.terminal.size().map_or(80, |size| usize::from(size.width));
        for line in wrapped(text, width) {
            let _ = self.terminal.insert_before(1, |buffer| {
                Line::styled(line, style).render(buffer.area, buffer);
            });
        }
    }

    /// Draws how it stands.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) {
        let _ = self.terminal.draw(draw);
    }

    /// Takes the drawing away.
    pub(crate) fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            let place = self.terminal.get_frame().area().as_position();
            let _ = self.terminal.clear();
            // What is written next begins where the drawing was.
            let _ = self.terminal.set_cursor_position(place);
            let _ = self.terminal.show_cursor();
            let _ = io::stdout().flush();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The words of a text in lines of this width; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a line from the start");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one", 2), ["one"]);
        assert_eq!(wrapped("", 2), [""]);
    }
}
