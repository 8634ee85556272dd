//! The query of a request.

use std::borrow::Cow;
use std::convert::Infallible;

use crate::error::ApiError;
use axum::extract::FromRequestParts;
use http::Uri;
use http::request::Parts;

use super::problems::{Problem, Problems};
use super::timestamp::Timestamp;

/// More items of a list are refused.
const ITEMS_MAX: usize = 100;

/// The query, read parameter by parameter. Unknown parameters are passed over, and an empty value
/// is as good as none: several clients write one for "not set".
pub struct Query {
    uri: Uri,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { uri: parts.uri.clone() })
    }
}

impl From<Uri> for Query {
    fn from(uri: Uri) -> Self {
        Self { uri }
    }
}

impl Query {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let query = self.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    }

    /// The parameter; the last one where it is there more than once.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        self.all(name).last()
    }

    /// The parameter read by `read`.
    pub fn read<T>(
        &self,
        problems: &mut Problems,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match read(&self.get(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                problems.add(&["query", name], problem);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, problems: &mut Problems, name: &str, default: bool) -> bool {
        self.read(problems, name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::type_is_not("expected true or false")),
        })
        .unwrap_or(default)
    }

    /// The only parameter of a request, `true` or `false`.
    pub fn only_flag(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        let mut problems = Problems::default();
        let flag = self.flag(&mut problems, name, default);
        problems.finish().map(|()| flag)
    }

    /// A point in time.
    pub fn time(&self, problems: &mut Problems, name: &str) -> Option<i64> {
        self.read(problems, name, |text| {
            let at = Timestamp::parse(text);
            at.map(|at| at.0).ok_or(Problem::type_is_not("expected a time in the form of RFC 3339"))
        })
    }

    /// A list: items with commas between, the parameter repeated, or both; each item read by `read`.
    pub fn list(
        &self,
        problems: &mut Problems,
        name: &str,
        read: impl Fn(String) -> Result<String, Problem>,
    ) -> Vec<String> {
        let mut items = Vec::new();
        for value in self.all(name) {
            for item in value.split(',').filter(|item| !item.is_empty()) {
                if items.len() == ITEMS_MAX {
                    problems.add(
                        &["query", name],
                        Problem::value(format!("must have at most {ITEMS_MAX} items")),
                    );
                    return Vec::new();
                }
                match read(item.to_owned()) {
                    Ok(item) if !items.contains(&item) => items.push(item),
                    Ok(_) => {}
                    Err(problem) => problems.add(&["query", name], problem),
                }
            }
        }
        items
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn query(text: &str) -> Query {
        Query::from(format!("/x?{text}").parse::<Uri>().unwrap())
    }

    fn word(text: String) -> Result<String, Problem> {
        if text.contains(' ') { Err(Problem::value("must be one word")) } else { Ok(text) }
    }

    fn list(text: &str) -> Result<Vec<String>, ApiError> {
        let mut problems = Problems::default();
        let list = query(text).list(&mut problems, "event_types", word);
        problems.finish().map(|()| list)
    }

    #[test]
    fn lists_come_with_commas_or_repeated() {
        assert_eq!(list("event_types=a,b").unwrap(), ["a", "b"]);
        assert_eq!(list("event_types=a&x=y&event_types=b").unwrap(), ["a", "b"]);
        assert_eq!(list("event_types=a%2Cb,,c&event_types=&event_types=b").unwrap(), ["a", "b", "c"]);
        assert_eq!(list("").unwrap(), Vec::<String>::new());
        assert!(list("event_types=a%20b").is_err());
        let many: Vec<_> = (0..=ITEMS_MAX).map(|n| n.to_string()).collect();
        assert!(list(&format!("event_types={}", many.join(","))).is_err());
    }

    #[test]
    fn flags_are_true_or_false() {
        let flag = |text: &str| query(text).only_flag("f", true);
        assert!(flag("f=true").unwrap() && flag("").unwrap() && flag("f=").unwrap());
        assert!(!flag("f=true&f=false").unwrap());
        assert_eq!(flag("f=1").unwrap_err().status(), 422);
    }

    #[test]
    fn times_are_read() {
        let mut problems = Problems::default();
        let at = query("t=2026-01-02T03%3A04%3A05.678%2B00%3A00").time(&mut problems, "t");
        assert_eq!(at, Some(1_767_323_045_678));
        assert_eq!(query("t=x").time(&mut problems, "t"), None);
        assert!(problems.finish().is_err());
    }
}
