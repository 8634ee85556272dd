//! The TOML file, as keys with their line.

use toml::de::{DeTable, DeValue};

use super::value::Raw;

/// How deep tables may be within tables: `[hooks]` is one.
const DEPTH_MAX: usize = 4;

/// One `key = value` of a file.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) value: Raw,
    pub(super) number: usize,
}

/// Reads the text of a file; the error says the line.
pub(super) fn read(text: &str) -> Result<Vec<Line>, String> {
    let table = DeTable::parse(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut lines = Vec::new();
    flatten(table.get_ref(), "", &LineNumbers::of(text), DEPTH_MAX, &mut lines);
    Ok(lines)
}

fn flatten(table: &DeTable<'_>, prefix: &str, numbers: &LineNumbers, depth: usize, lines: &mut Vec<Line>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if depth > 0 => {
                flatten(inner, &format!("{key}."), numbers, depth - 1, lines);
            }
            value => {
                let number = numbers.of_byte(name.span().start);
                lines.push(Line { key, value: raw(value), number });
            }
        }
    }
}

/// Where the lines of a text end. Each key of a file asks for its line: counting anew would take the
/// square of the file's length.
pub(crate) struct LineNumbers(Vec<usize>);

impl LineNumbers {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line of the byte at `at`, from 1.
    pub(crate) fn of_byte(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

/// A value as a TOML text has it.
pub(crate) fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("number that is too large"), Raw::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or(Raw::Other("number that cannot be read"), Raw::Float)
        }
        DeValue::Boolean(value) => Raw::Boolean(*value),
        DeValue::Datetime(_) => Raw::Other("date"),
        // Lists of lists are no value of ours: what is in them does not matter.
        DeValue::Array(items) => Raw::List(
            items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::Array(_) => Raw::Other("list"),
                    item => raw(item),
                })
                .collect(),
        ),
        DeValue::Table(_) => Raw::Other("table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_joined_by_dots_and_know_their_line() {
        let text = "data = \"/x\"\n\n[hooks]\n# more\nconcurrency = 1_000\nlist = [1, \"a\", true]\n";
        let lines = read(text).unwrap();
        let found: Vec<_> = lines.iter().map(|line| (line.key.as_str(), line.number)).collect();
        assert_eq!(found, [("data", 1), ("hooks.concurrency", 5), ("hooks.list", 6)]);
        assert_eq!(lines[1].value, Raw::Integer(1_000));
        let list = vec![Raw::Integer(1), Raw::Text("a".into()), Raw::Boolean(true)];
        assert_eq!(lines[2].value, Raw::List(list));
        assert_eq!(read("hooks.concurrency = 0x10").unwrap()[0].value, Raw::Integer(16));
    }

    #[test]
    fn a_byte_is_of_the_line_that_ends_behind_it() {
        let text = "\nab\n\nc";
        let numbers = LineNumbers::of(text);
        for at in 0..=text.len() + 1 {
            let before = &text.as_bytes()[..at.min(text.len())];
            let counted = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(numbers.of_byte(at), counted, "{at}");
        }
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        let error = read("a = 1\nb = = 2\n").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        assert!(read("a = 1\na = 2").is_err());
    }
}
