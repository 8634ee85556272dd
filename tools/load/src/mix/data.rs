//! Rows that fill requests in, from a file.
//!
//! All of the file is in memory, so it has a bound: a load test that reads its disk while it measures
//! would measure its disk.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::Error;

/// The largest file.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most rows.
const ROWS_MAX: usize = 1_000_000;
/// The most columns.
const COLUMNS_MAX: usize = 100;

/// In which order rows are taken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Order {
    /// One after the other, and from the first again.
    #[default]
    Cycled,
    /// At random; a row may come twice.
    Sampled,
}

/// Rows of named columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    columns: Vec<String>,
    order: Order,
    // All values in one piece, and where each of them ends.
    text: String,
    ends: Vec<u32>,
}

/// The values of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    data: &'a Data,
    row: usize,
}

impl Data {
    /// Reads a file: JSON lines where its name ends in `.jsonl` or `.ndjson`, else CSV whose first
    /// line names the columns.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 64 MiB, has no row or more than 1,000,000, more
    /// than 100 columns, or a line that is not of its form.
    pub fn read(path: &Path, order: Order) -> Result<Self, Error> {
        let refused = |why: String| Error::File { path: path.display().to_string(), why };
        let file = fs::File::open(path).map_err(|error| refused(error.to_string()))?;
        let mut text = String::new();
        // One byte more than allowed shows that there is more.
        let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| refused(error.to_string()))?;
        if text.len() as u64 > BYTES_MAX {
            return Err(refused(
                "is larger than 64 MiB, the most that is kept in memory: use a sample".to_owned(),
            ));
        }
        let lines = path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson");
        let parsed = if lines { Self::from_json_lines(&text, order) } else { Self::from_csv(&text, order) };
        parsed.map_err(refused)
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are; at least one.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len() / self.columns.len()
    }

    /// In which order they are taken.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        Row { data: self, row }
    }

    /// CSV as of RFC 4180: quotes where a value holds a comma, a line break or a quote.
    pub(crate) fn from_csv(text: &str, order: Order) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut records = Records { rest: text, line: 1 };
        let mut values = Vec::new();
        records.next(&mut values)?.ok_or("is empty: the first line names the columns")?;
        let mut data = Self::with_columns(std::mem::take(&mut values), order)?;
        while let Some(line) = records.next(&mut values)? {
            if values.len() != data.columns.len() {
                let (has, columns) = (values.len(), data.columns.len());
                return Err(format!("line {line} has {has} values, the first line names {columns} columns"));
            }
            data.push(values.drain(..))?;
        }
        data.complete()
    }

    /// An object a line; the first one's fields are the columns.
    pub(super) fn from_json_lines(text: &str, order: Order) -> Result<Self, String> {
        type Object = serde_json::Map<String, serde_json::Value>;
        let mut data: Option<Self> = None;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_number = number + 1;
            let mut object: Object =
                serde_json::from_str(line).map_err(|error| format!("line {line_number}: {error}"))?;
            let data = match &mut data {
                Some(data) => data,
                empty => empty.insert(Self::with_columns(object.keys().cloned().collect(), order)?),
            };
            let mut values = Vec::with_capacity(data.columns.len());
            for column in &data.columns {
                let value = object
                    .remove(column)
                    .ok_or_else(|| format!("line {line_number} has no field {column}"))?;
                values.push(match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                });
            }
            data.push(values.into_iter())?;
        }
        data.ok_or("has no line")?.complete()
    }

    fn with_columns(columns: Vec<String>, order: Order) -> Result<Self, String> {
        let columns: Vec<String> = columns.into_iter().map(|column| column.trim().to_owned()).collect();
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            return Err(format!("has {} columns, allowed are 1 to 100", columns.len()));
        }
        for (number, column) in columns.iter().enumerate() {
            if column.is_empty() || columns[..number].contains(column) {
                return Err(format!(
                    "column {} is called {column:?}, allowed is a name used once",
                    number + 1
                ));
            }
        }
        Ok(Self { columns, order, text: String::new(), ends: Vec::new() })
    }

    fn push(&mut self, values: impl Iterator<Item = String>) -> Result<(), String> {
        if self.rows() == ROWS_MAX {
            return Err("has more than 1,000,000 rows: use a sample".to_owned());
        }
        for value in values {
            self.text.push_str(&value);
            // The file has a bound far below what 32 bits count.
            self.ends.push(self.text.len() as u32);
        }
        Ok(())
    }

    fn complete(mut self) -> Result<Self, String> {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        if self.ends.is_empty() { Err("has no row below its columns".to_owned()) } else { Ok(self) }
    }
}

impl<'a> Row<'a> {
    /// The value in a column.
    pub(crate) fn value(self, column: usize) -> &'a str {
        let place = self.row * self.data.columns.len() + column;
        let begins = place.checked_sub(1).map_or(0, |before| self.data.ends[before] as usize);
        &self.data.text[begins..self.data.ends[place] as usize]
    }
}

/// The records of a text in CSV.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Records<'_> {
    /// Takes the values of the next record, and says on which line it begins.
    fn next(&mut self, values: &mut Vec<String>) -> Result<Option<usize>, String> {
        values.clear();
        while let Some(rest) = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\r\n")) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let began = self.line;
        loop {
            if values.len() == COLUMNS_MAX {
                return Err(format!("line {began} has more than 100 values"));
            }
            values.push(self.value()?);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            self.rest =
                self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')).unwrap_or(self.rest);
            self.line += 1;
            return Ok(Some(began));
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let Some(mut rest) = self.rest.strip_prefix('"') else {
            let ends = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(ends);
            self.rest = rest;
            return Ok(value.strip_suffix('\r').unwrap_or(value).to_owned());
        };
        let began = self.line;
        let mut value = String::new();
        loop {
            let (piece, after) =
                rest.split_once('"').ok_or_else(|| format!("line {began}: a quote is not closed"))?;
            value.push_str(piece);
            self.line += piece.matches('\n').count();
            match after.strip_prefix('"') {
                Some(more) => {
                    value.push('"');
                    rest = more;
                }
                None => {
                    self.rest = after;
                    break;
                }
            }
        }
        if self.rest.is_empty() || self.rest.starts_with([',', '\n']) || self.rest.starts_with("\r\n") {
            return Ok(value);
        }
        Err(format!("line {}: text behind a closing quote", self.line))
    }
}
