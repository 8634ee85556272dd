//! What is wrong with a request, field by field, until the whole of it has been read.

use std::borrow::Cow;

use crate::error::{ApiError, FieldError};

/// More than this are not told: nobody reads them, and each costs memory.
const PROBLEMS_MAX: usize = 16;

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
    pub const fn type_is_not(expected: &'static str) -> Self {
        Self { kind: "type_error", message: Cow::Borrowed(expected) }
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
