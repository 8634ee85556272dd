/// The text without what a terminal would obey: sources may be anybody's.
pub(crate) fn plain(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' => letter,
        '\t' => ' ',
        _ if letter.is_control() || is_bidirectional(letter) => '\u{fffd}',
        _ => letter,
    };
    text.chars().map(shown).collect()
}

/// Marks that make a line look as if it said something else.
fn is_bidirectional(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c\td\ne\r"), "a\u{fffd}[31mb\u{fffd}c d\ne\u{fffd}");
    }
}
