//! A key as an operator reads it.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

/// How much of a key is shown.
const CHARS_MAX: usize = 64;

/// The first 64 characters of `key`; control characters, which could forge lines of a log, are
/// replaced.
pub(crate) fn label(key: &impl Display) -> Arc<str> {
    let mut short = Short { text: String::new(), room: CHARS_MAX };
    // An error only says that there was no more room, which ends the formatting of a long key.
    let _ = write!(short, "{key}");
    short.text.into()
}

struct Short {
    text: String,
    room: usize,
}

impl Write for Short {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for char in part.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(if char.is_control() { char::REPLACEMENT_CHARACTER } else { char });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_on_one_line() {
        assert_eq!(&*label(&"acme"), "acme");
        assert_eq!(&*label(&"a\nb"), "a\u{fffd}b");
        assert_eq!(label(&"ü".repeat(1_000)).chars().count(), 64);
    }
}
