use crate::finding::Finding;
use crate::output::style::Style;

/// Of a longer line only the part around the site is shown.
const WIDTH: usize = 110;
const TAB: usize = 4;

/// The first line of a site, with the site marked below.
pub(super) fn excerpt(finding: &Finding, text: &str, style: Style) -> Option<String> {
    let line = text.lines().nth(finding.start.line.checked_sub(1)?)?;
    let length = line.chars().count();
    let begin = (finding.start.column - 1).min(length);
    let end =
        if finding.end.line == finding.start.line { finding.end.column.saturating_sub(1) } else { length };
    let end = end.clamp(begin, length);
    let shown = Cut::around(line, begin, end);
    let number = finding.start.line.to_string();
    let margin = " ".repeat(number.len());
    let marks = style.mark(&"^".repeat(shown.marked.max(1)));
    let bar = style.dim("|");
    let blank = " ".repeat(shown.before);
    Some(format!("  {} {bar} {}\n  {margin} {bar} {blank}{marks}\n", style.dim(&number), shown.text))
}

/// A part of a line: what is left of the site, and how wide the site is in it.
struct Cut {
    text: String,
    before: usize,
    marked: usize,
}

impl Cut {
    fn around(line: &str, begin: usize, end: usize) -> Self {
        let indent = line.chars().take_while(|letter| letter.is_whitespace()).count().min(begin);
        // A site far to the right is shown with some of what stands before it.
        let from = if end.saturating_sub(indent) <= WIDTH {
            indent
        } else {
            begin.saturating_sub(WIDTH / 4).max(indent)
        };
        let (mut text, mut before, mut marked) = (String::new(), 0, 0);
        for (column, letter) in line.chars().enumerate().skip(from).take(WIDTH) {
            let piece = match letter {
                '\t' => " ".repeat(TAB),
                _ => super::plain(letter.encode_utf8(&mut [0; 4])),
            };
            let width = piece.chars().count();
            before += if column < begin { width } else { 0 };
            marked += if (begin..end).contains(&column) { width } else { 0 };
            text.push_str(&piece);
        }
        if line.chars().count() > from + WIDTH {
            text.push('…');
        }
        Self { text: text.trim_end().to_owned(), before, marked }
    }
}
