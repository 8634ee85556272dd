//! What is wrong with a request, field by field, until the whole of it has been read.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::error::{ApiError, FieldError};

/// More than this are not told: nobody reads them, and each costs memory.
const PROBLEMS_MAX: usize = 16;

/// Of a text that came from outside, in an answer.
const CHARACTERS_SHOWN: usize = 40;

/// What came from outside, as much of it as an answer shows.
pub fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CHARACTERS_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// What is wrong with one value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    kind: &'static str,
    message: Cow<'static, str>,
}

impl Problem {
    /// The value is of the right type and not allowed.
    pub fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: "value_error", message: message.into() }
    }

    /// The value is of another type.
    pub fn type_is_not(expected: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: "type_error", message: expected.into() }
    }

    /// This value is of another type: which, and what it is where it is short.
    pub fn is_not(expected: &'static str, raw: &RawValue) -> Self {
        let is = match raw.get().as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => return Self::type_is_not(format!("{expected}, is {}", shown(raw.get()))),
        };
        // Of the right sort, and something else is wrong within.
        let same = expected.contains(is);
        Self::type_is_not(if same { Cow::Borrowed(expected) } else { format!("{expected}, is {is}").into() })
    }

    /// There is no value.
    pub const fn missing() -> Self {
        Self { kind: "value_error.missing", message: Cow::Borrowed("field required") }
    }

    /// The text is not JSON.
    pub fn not_json(error: &serde_json::Error) -> Self {
        Self { kind: "value_error.jsondecode", message: error.to_string().into() }
    }

    /// As the whole answer to a request.
    pub fn at(self, loc: &[&str]) -> ApiError {
        ApiError::unprocessable(vec![self.field(loc)])
    }

    fn field(self, loc: &[&str]) -> FieldError {
        FieldError::new(loc.iter().copied(), self.kind, self.message)
    }
}

/// The problems of a request.
#[derive(Default, Debug)]
pub struct Problems {
    fields: Vec<FieldError>,
}

impl Problems {
    /// Notes a problem with the value at `loc`.
    pub fn add(&mut self, loc: &[&str], problem: Problem) {
        if self.fields.len() < PROBLEMS_MAX {
            self.fields.push(problem.field(loc));
        }
    }

    /// The value, or its default with the problem noted: [`finish`](Self::finish) tells before it is used.
    pub fn note<T: Default>(&mut self, loc: &[&str], value: Result<T, Problem>) -> T {
        value.unwrap_or_else(|problem| {
            self.add(loc, problem);
            T::default()
        })
    }

    /// 422 where there was any.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.fields.is_empty() { Ok(()) } else { Err(ApiError::unprocessable(self.fields)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str, expected: &'static str) -> String {
        Problem::is_not(expected, serde_json::from_str(json).unwrap()).message.into_owned()
    }

    #[test]
    fn a_value_of_another_type_is_told_and_a_long_one_cut() {
        assert_eq!(told("1e999", "expected an integer"), "expected an integer, is 1e999");
        assert_eq!(told("[[]]", "expected a string"), "expected a string, is a list");
        assert_eq!(told("[1]", "expected a list of strings"), "expected a list of strings");
        let long = told(&"9".repeat(10_000), "expected an integer");
        assert_eq!(long, format!("expected an integer, is {}...", "9".repeat(40)));
        assert_eq!(shown(&"\u{e4}".repeat(41)), format!("{}...", "\u{e4}".repeat(40)));
    }
}
