//! Text with placeholders: `{{column}}`, and `{{tenant}}`.

use super::data::Row;
use crate::Error;

/// The placeholder of the tenant that a request is sent for.
const TENANT: &str = "tenant";

/// Text that is filled in for each request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(String),
    Column(usize),
    Tenant,
}

/// What a request is filled in with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) row: Option<Row<'a>>,
    pub(crate) tenant: &'a str,
}

/// How a value is written where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Writing {
    /// As it is.
    Plain,
    /// As a part of a path or query that stays one part, whatever is in it.
    Percent,
}

impl Template {
    /// Reads a text; `place` is where it stands, for the error.
    ///
    /// # Errors
    /// A placeholder that is not closed, or that no column is called like.
    pub(crate) fn parse(text: &str, columns: &[String], tenants: bool, place: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else {
                return Err(Error::invalid(place, format!("`{text}`"), "text in which each {{ has its }}"));
            };
            let name = name.trim();
            let piece = match columns.iter().position(|column| column == name) {
                Some(column) => Piece::Column(column),
                None if name == TENANT && tenants => Piece::Tenant,
                None => return Err(unknown(name, columns, tenants, place)),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            pieces.push(piece);
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// Whether it is the same for every request.
    pub(crate) fn is_constant(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)))
    }

    /// Whether it names the tenant.
    pub(crate) fn names_tenant(&self) -> bool {
        self.pieces.contains(&Piece::Tenant)
    }

    /// The columns it names.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Column(column) => Some(*column),
            Piece::Literal(_) | Piece::Tenant => None,
        })
    }

    /// Writes it, filled in.
    pub(crate) fn write(&self, values: Values<'_>, to: &mut Vec<u8>) {
        self.write_as(Writing::Plain, values, to);
    }

    /// Writes it, with the values that fill it in written so.
    pub(crate) fn write_as(&self, writing: Writing, values: Values<'_>, to: &mut Vec<u8>) {
        for piece in &self.pieces {
            let value = match piece {
                Piece::Literal(text) => {
                    to.extend_from_slice(text.as_bytes());
                    continue;
                }
                Piece::Column(column) => values.row.map_or("", |row| row.value(*column)),
                Piece::Tenant => values.tenant,
            };
            match writing {
                Writing::Plain => to.extend_from_slice(value.as_bytes()),
                Writing::Percent => percent(value, to),
            }
        }
    }
}

fn unknown(name: &str, columns: &[String], tenants: bool, place: &str) -> Error {
    let mut known: Vec<&str> = columns.iter().map(String::as_str).collect();
    if tenants {
        known.push(TENANT);
    }
    let allowed = match known.as_slice() {
        [] => "none without a data file or tenants".to_owned(),
        known => known.join(", "),
    };
    Error::invalid(format!("placeholder in {place}"), format!("{{{{{name}}}}}"), allowed)
}

/// All but the unreserved characters of RFC 3986 as `%XX`.
fn percent(value: &str, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(byte),
            _ => to.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}
