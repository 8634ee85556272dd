//! The body of a request: a JSON object, read field by field.
//!
//! Not derived: every problem is told with its place, not only the first; a PATCH must know an
//! absent field from `null`; and fields that newer clients send are passed over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problems::{Problem, Problems, shown};

/// More fields of one object are refused: no request of an interface has as many, and each costs more
/// memory than its text.
const FIELDS_MAX: usize = 1_000;

/// The bytes of the body, bounded by admission around the router.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| unread(&rejection))
    }
}

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large");
    }
    ApiError::bad_request("body_incomplete", "The body ended before it was complete")
}

/// A field that may be absent, and may be `null`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given<T> {
    /// It is not there.
    Absent,
    /// It is `null`.
    Null,
    /// It is there.
    Value(T),
}

impl<T> Given<T> {
    /// The value; absent and `null` are the same.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }

    /// This, or the other where this is absent: for fields with an older name.
    pub fn or(self, other: impl FnOnce() -> Self) -> Self {
        if matches!(self, Self::Absent) { other() } else { self }
    }

    /// Changes `slot` to the value, to nothing for `null`, not at all where absent.
    pub fn patch(self, slot: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *slot = None,
            Self::Value(value) => *slot = Some(value),
        }
    }
}

/// The fields of an object, and what is wrong with them.
pub struct Fields<'a> {
    values: BTreeMap<String, &'a RawValue>,
    within: Vec<&'static str>,
    problems: Problems,
}

impl<'a> Fields<'a> {
    /// The fields of a body.
    pub fn of_body(body: &'a [u8]) -> Result<Self, ApiError> {
        Self::of(serde_json::from_slice(body), vec!["body"])
    }

    /// The fields of the object that is `value`, which stands at `within`.
    pub fn of_value(value: &'a RawValue, within: Vec<&'static str>) -> Result<Self, ApiError> {
        Self::of(serde_json::from_str(value.get()), within)
    }

    fn of(
        object: Result<Object<'a>, serde_json::Error>,
        within: Vec<&'static str>,
    ) -> Result<Self, ApiError> {
        match object {
            Ok(Object { values, problem: None }) => {
                Ok(Self { values, within, problems: Problems::default() })
            }
            Ok(Object { problem: Some(problem), .. }) => Err(problem.at(&within)),
            Err(error) => Err(not_an_object(&error).at(&within)),
        }
    }

    /// The field read by `read`; a problem is noted and the field taken as absent.
    pub fn field<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Problem>,
    ) -> Given<T> {
        match self.values.get(name) {
            None => Given::Absent,
            Some(raw) if raw.get() == "null" => Given::Null,
            Some(raw) => match read(raw) {
                Ok(value) => Given::Value(value),
                Err(problem) => {
                    self.problem(name, problem);
                    Given::Absent
                }
            },
        }
    }

    /// The field, which must be there.
    pub fn required<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Problem>,
    ) -> T {
        if !self.values.contains_key(name) {
            self.problem(name, Problem::missing());
        }
        self.not_null(name, read).unwrap_or_default()
    }

    /// The field of a PATCH where `null` means nothing.
    pub fn not_null<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Result<T, Problem>,
    ) -> Option<T> {
        match self.field(name, read) {
            Given::Absent => None,
            Given::Null => {
                self.problem(name, Problem::type_is_not("must not be null"));
                None
            }
            Given::Value(value) => Some(value),
        }
    }

    /// Notes a problem with a field.
    pub fn problem(&mut self, name: &'static str, problem: Problem) {
        self.within.push(name);
        self.problems.add(&self.within, problem);
        self.within.pop();
    }

    /// 422 where any field had a problem. What was read must not be used before.
    pub fn finish(self) -> Result<(), ApiError> {
        self.problems.finish()
    }
}

/// An object as it is read, or what is wrong with it as a whole.
struct Object<'a> {
    values: BTreeMap<String, &'a RawValue>,
    problem: Option<Problem>,
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object { values: BTreeMap::new(), problem: None };
        // To the end even so: what is no JSON further on is told first.
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if object.problem.is_some() {
                continue;
            }
            if object.values.len() == FIELDS_MAX {
                let problem = format!("must have at most {FIELDS_MAX} fields");
                object.problem = Some(Problem::value(problem));
                continue;
            }
            match object.values.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                // Which of the two is meant nobody knows, and each reader takes another one.
                Entry::Occupied(entry) => {
                    let problem = format!("{:?} is there more than once", shown(entry.key()));
                    object.problem = Some(Problem::value(problem));
                }
            }
        }
        Ok(object)
    }
}

fn not_an_object(error: &serde_json::Error) -> Problem {
    if error.is_data() { Problem::type_is_not("expected an object") } else { Problem::not_json(error) }
}

/// A string.
pub fn text(raw: &RawValue) -> Result<String, Problem> {
    read(raw, "expected a string")
}

/// `true` or `false`.
pub fn boolean(raw: &RawValue) -> Result<bool, Problem> {
    read(raw, "expected a boolean")
}

/// A whole number.
pub fn integer(raw: &RawValue) -> Result<i64, Problem> {
    read(raw, "expected an integer")
}

/// A list of strings.
pub fn texts(raw: &RawValue) -> Result<Vec<String>, Problem> {
    read(raw, "expected a list of strings")
}

/// An object of strings; in the order of its keys.
pub fn text_map(raw: &RawValue) -> Result<BTreeMap<String, String>, Problem> {
    read(raw, "expected an object of strings")
}

/// An object of strings and `null`s; in the order of its keys.
pub fn patch_map(raw: &RawValue) -> Result<BTreeMap<String, Option<String>>, Problem> {
    read(raw, "expected an object of strings and nulls")
}

/// An object of objects, as it stands there.
pub fn object_map(raw: &RawValue) -> Result<String, Problem> {
    let objects: BTreeMap<String, &RawValue> = read(raw, "expected an object of objects")?;
    if objects.values().all(|value| value.get().starts_with('{')) {
        Ok(raw.get().to_owned())
    } else {
        Err(Problem::type_is_not("expected an object of objects"))
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue, expected: &'static str) -> Result<T, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| Problem::is_not(expected, raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_null_and_value_are_three_things() {
        let mut fields = Fields::of_body(br#"{"b": null, "c": "x"}"#).unwrap();
        assert_eq!(fields.field("a", text), Given::Absent);
        assert_eq!(fields.field("b", text), Given::Null);
        assert_eq!(fields.field("c", text), Given::Value("x".into()));
        fields.finish().unwrap();
        for (given, after) in [(Given::Absent, Some(1)), (Given::Null, None), (Given::Value(2), Some(2))] {
            let mut slot = Some(1);
            given.patch(&mut slot);
            assert_eq!(slot, after);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let mut fields = Fields::of_body(br#"{"a": 1, "b": null, "more": {}}"#).unwrap();
        fields.required("a", text);
        fields.required("b", text);
        fields.required("c", text);
        let error = fields.finish().unwrap_err();
        let json: serde_json::Value = serde_json::from_slice(&error.to_json()).unwrap();
        let places: Vec<_> = json["detail"].as_array().unwrap().iter().map(|one| &one["loc"]).collect();
        assert_eq!(error.status(), 422);
        assert_eq!(serde_json::to_string(&places).unwrap(), r#"[["body","a"],["body","b"],["body","c"]]"#);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in [&b""[..], b"[]", b"1", b"\"x\"", b"{", b"{}x", b"\xff", b"{\"a\": \"\xff\"}"] {
            let error = Fields::of_body(body).err().unwrap();
            assert_eq!(error.status(), 422, "{body:?}");
        }
    }

    fn refusal(body: &str) -> String {
        Fields::of_body(body.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_by_name() {
        assert!(refusal(r#"{"a": 1, "b": 2, "\u0061": 3}"#).contains("\"a\" is there more than once"));
        let long = "x".repeat(10_000);
        assert!(refusal(&format!(r#"{{"{long}": 1, "{long}": 2}}"#)).len() < 200);
        assert!(refusal(r#"{"a": 1, "a": 2"#).contains("EOF"), "no JSON is told first");
    }

    #[test]
    fn fields_are_bounded_in_number() {
        let many = |count: usize| {
            let fields: Vec<_> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(Fields::of_body(many(FIELDS_MAX).as_bytes()).is_ok());
        assert!(refusal(&many(FIELDS_MAX + 1)).contains("at most 1000 fields"));
    }

    #[test]
    fn schemas_are_objects_of_objects() {
        let read = |text| object_map(serde_json::from_str::<&RawValue>(text).unwrap());
        assert_eq!(read(r#"{"1": {"type":  "object"}}"#).unwrap(), r#"{"1": {"type":  "object"}}"#);
        assert!(read(r#"{"1": 2}"#).is_err());
        assert!(read("[]").is_err());
    }
}
