//! A Prometheus page, read line by line: the text format and `OpenMetrics` alike.
//!
//! A stranger's page is taken as it is: a line that is none is passed over, what nobody
//! asked for is not kept, and there is a bound on bytes, on labels and on what is kept.

/// The most bytes of a page that are read; what comes after is not.
pub(super) const PAGE_BYTES_MAX: usize = 8 << 20;
/// A line longer than this is passed over.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Labels of a series beyond these are passed over.
const LABELS_MAX: usize = 32;

/// One line of a page.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Series<'page> {
    pub(super) name: &'page str,
    pub(super) value: f64,
    labels: &'page str,
}

impl<'page> Series<'page> {
    /// The value of a label as it is written, escapes and all: the names that are looked for have none.
    pub(super) fn label(&self, wanted: &str) -> Option<&'page str> {
        Labels(self.labels).take(LABELS_MAX).find_map(|(name, value)| (name == wanted).then_some(value))
    }
}

/// The series of a page whose value is a finite number, in their order.
pub(super) fn series(page: &str) -> impl Iterator<Item = Series<'_>> {
    page.lines().filter_map(line)
}

fn line(line: &str) -> Option<Series<'_>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line.len() > LINE_BYTES_MAX {
        return None;
    }
    let end = line.find(|letter: char| letter == '{' || letter.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => split_labels(inside)?,
        None => ("", rest),
    };
    // After the value there may be a timestamp, and an exemplar after a '#'.
    let value: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (is_name(name) && value.is_finite()).then_some(Series { name, value, labels })
}

/// Splits after the brace that ends the labels, which is none of those within quotes.
fn split_labels(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (place, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some((&text[..place], &text[place + 1..])),
            _ => {}
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || "_:".contains(letter));
    first && letters.all(|letter| letter.is_ascii_alphanumeric() || "_:.".contains(letter))
}

/// The labels that are written one after another.
struct Labels<'page>(&'page str);

impl<'page> Iterator for Labels<'page> {
    type Item = (&'page str, &'page str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once('=')?;
        let rest = rest.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = rest.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        })?;
        self.0 = &rest[end + 1..];
        Some((name.trim_matches(|letter: char| letter == ',' || letter.is_ascii_whitespace()), &rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Option<(&str, f64)> {
        series(text).next().map(|series| (series.name, series.value))
    }

    #[test]
    fn both_formats_are_read() {
        assert_eq!(one("process_open_fds 12\n"), Some(("process_open_fds", 12.0)));
        assert_eq!(one("a_total{b=\"c\"} 1.5e3 1700000000"), Some(("a_total", 1_500.0)));
        assert_eq!(one("a_bucket{le=\"+Inf\"} 3 # {trace=\"x\"} 0.5"), Some(("a_bucket", 3.0)));
        assert_eq!(one("# TYPE a gauge\n# EOF"), None);
    }

    #[test]
    fn a_brace_a_comma_or_an_escaped_quote_within_a_label_ends_nothing() {
        let page = r#"m{first="a}b,c\"d\\", kind="group"} 7"#;
        let found = series(page).next().unwrap();
        assert_eq!((found.value, found.label("kind")), (7.0, Some("group")));
        assert_eq!(found.label("first"), Some(r#"a}b,c\"d\\"#));
        assert_eq!(found.label("b"), None);
    }

    #[test]
    fn what_is_no_number_or_no_line_is_passed_over() {
        for bad in ["a NaN", "a +Inf", "a", "a{b=\"c\" 1", "1a 2", "a{b=\"} 1", "<html> 5", "a one"] {
            assert_eq!(one(bad), None, "{bad}");
        }
        let long = format!("a{{b=\"{}\"}} 1\nc 2", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(one(&long), Some(("c", 2.0)));
    }

    proptest! {
        #[test]
        fn no_page_breaks_the_reader(page in "(?s).{0,400}", name in ".{0,8}") {
            for series in series(&page) {
                prop_assert!(series.value.is_finite());
                series.label(&name);
            }
        }

        #[test]
        fn what_was_written_is_read(value in -1e12..1e12f64, label in "[a-z}{, ]{0,12}") {
            let page = format!("a_name{{one=\"1\",two=\"{label}\"}} {value}\n");
            let found = series(&page).next().unwrap();
            prop_assert_eq!(found.value, value);
            prop_assert_eq!(found.label("two"), Some(label.as_str()));
        }
    }
}
