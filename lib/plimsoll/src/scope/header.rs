//! A scope's deadline and labels as the text of two headers, so that they cross the edges.
//!
//! The deadline travels as gRPC's `grpc-timeout` (`250m` is 250 ms left), the labels as the W3C's
//! [`baggage`](https://www.w3.org/TR/baggage/) (`tenant=acme,request=7f3a`). Both are plain text
//! here: whatever carries headers can carry them. Cancellation needs no header: a connection or
//! stream that closes is one.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll::scope::header::{self, Edge};
//!
//! let edge = Edge::builder().labels(["tenant"]).deadline_max(Duration::from_secs(30)).build()?;
//! // What came in with a request, by the names `header::DEADLINE` and `header::LABELS`:
//! let scope = edge.read(Some("250m"), Some("tenant=acme%20inc,colour=red"))?;
//! assert_eq!(scope.label_value("tenant"), Some("acme inc"));
//! assert_eq!(scope.label_value("colour"), None, "not one that may cross this edge");
//! assert!(scope.remaining() <= Some(Duration::from_millis(250)));
//!
//! // What goes out with a request that is made in this scope:
//! let headers = edge.headers(&scope);
//! assert_eq!(headers.labels.as_deref(), Some("tenant=acme%20inc"));
//! assert!(headers.deadline.is_some_and(|left| left.ends_with(['u', 'n'])));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{LABEL_BYTES_MAX, LABELS_MAX, Scope};
use crate::{Invalid, Name};

/// The header that carries the deadline, as gRPC calls it.
///
/// ```
/// use plimsoll::scope::header::{DEADLINE, Edge};
/// let refused = Edge::builder().build().unwrap().read(Some("soon"), None).unwrap_err();
/// assert!(refused.to_string().starts_with(DEADLINE)); // grpc-timeout
/// ```
pub const DEADLINE: &str = "grpc-timeout";
/// The header that carries labels, as the W3C calls it.
///
/// ```
/// use plimsoll::scope::header::{Edge, LABELS};
/// let refused = Edge::builder().build().unwrap().read(None, Some("tenant")).unwrap_err();
/// assert!(refused.to_string().starts_with(LABELS)); // baggage
/// ```
pub const LABELS: &str = "baggage";

/// How long a `baggage` header can be, in bytes, and how many members it can have: what the W3C asks
/// of whoever passes it on. One that exceeds either is refused, and none is written that does.
const BAGGAGE_BYTES_MAX: usize = 8_192;
const BAGGAGE_MEMBERS_MAX: usize = 180;

/// The units of a `grpc-timeout`, the finest first, each with its length in nanoseconds.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60_000_000_000),
    ('H', 3_600_000_000_000),
];
/// A `grpc-timeout` has 8 digits at the most.
const TIMEOUT_MAX: u128 = 99_999_999;

/// What may cross an edge of the process, in either direction; cheap to clone.
///
/// ```
/// use plimsoll::scope::header::{DEADLINE, Edge, LABELS};
/// assert_eq!((DEADLINE, LABELS), ("grpc-timeout", "baggage"));
/// let partners = Edge::builder().build()?; // no labels: they are strangers
/// let scope = partners.read(Some("2S"), Some("tenant=acme"))?;
/// assert!(scope.remaining().unwrap().as_secs_f64() > 1.9);
/// assert_eq!(scope.labels().count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Edge {
    labels: Arc<[Box<str>]>,
    deadline_max: Option<Duration>,
}

/// The text of the headers for a request that goes out; see [`Edge::headers`].
///
/// ```
/// use plimsoll::scope::{Scope, header::Edge};
/// let edge = Edge::builder().labels(["tenant", "request"]).build()?;
/// let scope = Scope::new().label("tenant", "acme").label("request", "7f3a").label("password", "xyzzy");
/// let headers = edge.headers(&scope);
/// assert_eq!(headers.labels.as_deref(), Some("tenant=acme,request=7f3a"));
/// assert_eq!(headers.deadline, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Headers {
    /// The value of [`DEADLINE`], if the scope has one.
    pub deadline: Option<String>,
    /// The value of [`LABELS`], if the scope has any that may cross.
    pub labels: Option<String>,
}

impl Edge {
    /// Begins an edge that deadlines cross, and no labels.
    ///
    /// ```
    /// use plimsoll::scope::header::Edge;
    /// let edge = Edge::builder().build()?;
    /// let scope = edge.read(Some("2S"), Some("tenant=acme"))?;
    /// assert!(scope.deadline().is_some() && scope.label_value("tenant").is_none()); // of a stranger
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn builder() -> EdgeBuilder {
        EdgeBuilder { labels: Vec::new(), deadline_max: None }
    }

    /// A scope inside the current one, with the deadline and the labels that came with a request: the
    /// values of the headers [`DEADLINE`] and [`LABELS`]. Of labels that come twice the last counts;
    /// labels that are empty are none.
    ///
    /// # Errors
    /// When a header is there and not what it should be. Nothing of it is taken over then: refuse the
    /// request, or serve it in a scope of your own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::header::{Edge, Malformed};
    /// let edge = Edge::builder().deadline_max(Duration::from_secs(30)).build()?;
    /// assert!(edge.read(Some("1H"), None)?.remaining().unwrap() <= Duration::from_secs(30));
    /// assert_eq!(edge.read(Some("soon"), None).unwrap_err(), Malformed::Deadline);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&self, deadline: Option<&str>, labels: Option<&str>) -> Result<Scope, Malformed> {
        let asked = deadline.map(parse_deadline).transpose()?;
        let mut scope = Scope::new();
        if let Some(after) = asked.into_iter().chain(self.deadline_max).min() {
            scope = scope.deadline_in(after);
        }
        for member in labels.map(parse_baggage).into_iter().flatten() {
            let (key, value) = member?;
            if self.labels.iter().any(|known| **known == *key) {
                scope = scope.label(key, &value);
            }
        }
        Ok(scope)
    }

    /// The headers for a request that is made in `scope`. The time that is left is rounded down; of
    /// labels that do not fit into 8,192 bytes the last are left out.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::{Scope, header::Edge};
    /// let edge = Edge::builder().labels(["city"]).build()?;
    /// let scope = Scope::new().label("city", "Saint Malo").deadline_in(Duration::from_secs(5));
    /// let headers = edge.headers(&scope);
    /// assert_eq!(headers.labels.as_deref(), Some("city=Saint%20Malo"));
    /// let there = edge.read(headers.deadline.as_deref(), headers.labels.as_deref())?;
    /// assert_eq!(there.label_value("city"), Some("Saint Malo"));
    /// assert!(there.remaining() <= Some(Duration::from_secs(5)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn headers(&self, scope: &Scope) -> Headers {
        let mut text = String::new();
        for (key, value) in scope.labels() {
            let before = text.len();
            if self.labels.iter().any(|known| **known == *key) {
                push_member(&mut text, key, value);
            }
            if text.len() > BAGGAGE_BYTES_MAX {
                text.truncate(before);
            }
        }
        Headers {
            deadline: scope.remaining().map(deadline_text),
            labels: Some(text).filter(|text| !text.is_empty()),
        }
    }
}

/// Builds an [`Edge`]; made by [`Edge::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::scope::header::Edge;
/// let edge = Edge::builder().labels(["tenant"]).deadline_max(Duration::from_secs(30));
/// assert!(edge.build()?.read(None, None)?.deadline().is_some()); // 30 s where none is asked for
/// let refused = Edge::builder().deadline_max(Duration::ZERO).build().unwrap_err();
/// assert_eq!(refused.to_string(), "scope header: deadline_max is 0ns, allowed is 1 ms to a day");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct EdgeBuilder {
    labels: Vec<Box<str>>,
    deadline_max: Option<Duration>,
}

impl EdgeBuilder {
    /// The keys of the labels that cross: at most 16, each a token of HTTP (letters, digits and
    /// ``!#$%&'*+-.^_`|~``) of at most 128 bytes. Default none: labels come from strangers, and go
    /// to them.
    ///
    /// ```
    /// use plimsoll::scope::header::Edge;
    /// let edge = Edge::builder().labels(["tenant"]).build()?;
    /// let scope = edge.read(None, Some("tenant=acme,plan=gold"))?;
    /// assert_eq!((scope.label_value("tenant"), scope.label_value("plan")), (Some("acme"), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn labels<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        // One more than can be, so that an endless list ends.
        self.labels = keys.into_iter().take(LABELS_MAX + 1).map(Into::into).collect();
        self
    }

    /// The longest time that a request may ask for, 1 ms to a day; also that of a request which asks
    /// for none. Default: whatever it asks for.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::header::Edge;
    /// let edge = Edge::builder().deadline_max(Duration::from_secs(30)).build()?;
    /// for asked in [Some("1H"), None] {
    ///     assert!(edge.read(asked, None)?.remaining().unwrap() <= Duration::from_secs(30));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn deadline_max(mut self, max: Duration) -> Self {
        self.deadline_max = Some(max);
        self
    }

    /// Makes the edge.
    ///
    /// # Errors
    /// When a field is out of its range.
    ///
    /// ```
    /// use plimsoll::scope::header::Edge;
    /// let refused = Edge::builder().labels(["my tenant"]).build().unwrap_err().to_string();
    /// assert!(refused.starts_with("scope header: labels is \"my tenant\", allowed is"), "{refused}");
    /// ```
    pub fn build(self) -> Result<Edge, Invalid> {
        let name = Name::new("scope header")?;
        if self.labels.len() > LABELS_MAX {
            return Err(Invalid::new(name, "labels", "more than 16", "at most 16"));
        }
        let bad = |key: &str| key.len() > LABEL_BYTES_MAX || !is_token(key);
        if let Some(key) = self.labels.iter().find(|key| bad(key)) {
            let shown: String = key.chars().take(40).collect();
            let allowed = "tokens of HTTP, of 1 to 128 bytes";
            return Err(Invalid::new(name, "labels", format_args!("{shown:?}"), allowed));
        }
        let day = Duration::from_secs(86_400);
        if let Some(max) = self.deadline_max.filter(|max| *max < Duration::from_millis(1) || *max > day) {
            return Err(Invalid::new(name, "deadline_max", format_args!("{max:?}"), "1 ms to a day"));
        }
        Ok(Edge { labels: self.labels.into(), deadline_max: self.deadline_max })
    }
}

/// A header that is not what it should be.
///
/// ```
/// use plimsoll::scope::header::{Edge, Malformed};
/// let edge = Edge::builder().labels(["tenant"]).build()?;
/// let refused = edge.read(None, Some("tenant=acme,colour")).unwrap_err();
/// assert!(matches!(refused, Malformed::Key { member: 1, .. }));
/// assert_eq!(refused.to_string(), "baggage: member 1 does not begin with a token and '='");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Malformed {
    /// The deadline is not 1 to 8 digits and a unit.
    Deadline,
    /// The labels are longer than 8,192 bytes.
    TooLong,
    /// There are more than 180 labels.
    TooMany,
    /// The label at this place, from 0, is not a token and `=`.
    #[non_exhaustive]
    Key {
        /// Which.
        member: usize,
    },
    /// The value of the label at this place, from 0, holds a character that may not be in it, or a
    /// `%` without two hexadecimal digits.
    #[non_exhaustive]
    Value {
        /// Which.
        member: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => {
                write!(f, "{DEADLINE} is not 1 to 8 digits and one of the units H, M, S, m, u, n")
            }
            Self::TooLong => write!(f, "{LABELS} is longer than {BAGGAGE_BYTES_MAX} bytes"),
            Self::TooMany => write!(f, "{LABELS} has more than {BAGGAGE_MEMBERS_MAX} members"),
            Self::Key { member } => {
                write!(f, "{LABELS}: member {member} does not begin with a token and '='")
            }
            Self::Value { member } => {
                write!(
                    f,
                    "{LABELS}: the value of member {member} holds a character that must be percent-encoded"
                )
            }
        }
    }
}

impl Error for Malformed {}

/// The time in the finest unit in which it has 8 digits, rounded down; 1 ns at the least, since the
/// format has no zero.
fn deadline_text(left: Duration) -> String {
    let nanos = left.as_nanos().max(1);
    let fits = UNITS.iter().find(|(_, length)| nanos / length <= TIMEOUT_MAX);
    match fits {
        Some((unit, length)) => format!("{}{unit}", nanos / length),
        None => format!("{TIMEOUT_MAX}H"),
    }
}

fn parse_deadline(text: &str) -> Result<Duration, Malformed> {
    let (digits, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or(Malformed::Deadline)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = UNITS.iter().find(|(letter, _)| unit.chars().eq([*letter])).map(|(_, length)| length);
    match (length, digits.parse::<u32>()) {
        (Some(length), Ok(count)) if all_digits && digits.len() <= 8 => {
            let nanos = u128::from(count) * length;
            Ok(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
        }
        _ => Err(Malformed::Deadline),
    }
}

fn push_member(text: &mut String, key: &str, value: &str) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(key);
    text.push('=');
    for byte in value.bytes() {
        if is_baggage_octet(byte) && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The members of a `baggage` header, checked one after the other; their properties are left out. A
/// header with nothing in it is what some proxies make of one that they emptied: no labels.
fn parse_baggage(text: &str) -> impl Iterator<Item = Result<(&str, String), Malformed>> {
    let too_long = (text.len() > BAGGAGE_BYTES_MAX).then_some(Err(Malformed::TooLong));
    let none = too_long.is_some() || text.trim_matches([' ', '\t']).is_empty();
    let members = text.split(',').take(if none { 0 } else { BAGGAGE_MEMBERS_MAX + 1 });
    too_long.into_iter().chain(members.enumerate().map(|(member, text)| {
        if member == BAGGAGE_MEMBERS_MAX {
            return Err(Malformed::TooMany);
        }
        let (key, rest) = text.split_once('=').ok_or(Malformed::Key { member })?;
        let key = key.trim_matches([' ', '\t']);
        if !is_token(key) {
            return Err(Malformed::Key { member });
        }
        let value = rest.split_once(';').map_or(rest, |(value, _properties)| value).trim_matches([' ', '\t']);
        Ok((key, percent_decoded(value).ok_or(Malformed::Value { member })?))
    }))
}

/// What is not UTF-8 becomes U+FFFD, as the W3C asks.
fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if !is_baggage_octet(byte) {
            return None;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        decoded.push(if byte == b'%' { (digit()? << 4 | digit()?) as u8 } else { byte });
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

fn is_token(text: &str) -> bool {
    let of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_a_token)
}

const fn is_baggage_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn edge() -> Edge {
        Edge::builder().labels(["tenant", "request", "a"]).build().unwrap()
    }

    #[test]
    fn a_deadline_is_written_in_the_finest_unit_that_has_room() {
        for (left, text) in [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_millis(250), "250000u"),
            (SECOND, "1000000u"),
            (3_600 * SECOND, "3600000m"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(deadline_text(left), text);
        }
    }

    #[test]
    fn a_deadline_is_read_strictly() {
        for (text, left) in [
            ("1H", 3_600 * SECOND),
            ("2M", 120 * SECOND),
            ("3S", 3 * SECOND),
            ("250m", SECOND / 4),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse_deadline(text), Ok(left));
        }
        assert!(parse_deadline("99999999H").is_ok());
        for bad in
            ["", "S", "1", "1s", "-1S", "+1S", " 1S", "1S ", "1.5S", "123456789S", "1é", "é", "１S", "1SS"]
        {
            assert_eq!(parse_deadline(bad), Err(Malformed::Deadline), "{bad:?}");
        }
    }

    #[test]
    fn labels_are_read_as_the_w3c_writes_them() {
        let read = |text: &str| {
            edge().read(None, Some(text)).map(|scope| {
                scope.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
            })
        };
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let both = vec![label("tenant", "Amélie"), label("request", "7f 3a")];
        assert_eq!(read("tenant=Am%C3%A9lie,request=7f%203a"), Ok(both.clone()));
        assert_eq!(read("tenant = Am%c3%a9lie;secret;weight=1 , x=1,\trequest\t=\t7f%203a"), Ok(both));
        assert_eq!(read("tenant=a,tenant=b"), Ok(vec![label("tenant", "b")]));
        assert_eq!((read(""), read(" \t")), (Ok(vec![]), Ok(vec![])), "empty is no label");
        assert_eq!(read("tenant="), Ok(vec![label("tenant", "")]));
        assert_eq!(read("tenant=%FF"), Ok(vec![label("tenant", "\u{fffd}")]), "not UTF-8");
    }

    #[test]
    fn labels_that_are_not_well_formed_are_refused_with_their_place() {
        let refused = |text: &str| edge().read(None, Some(text)).unwrap_err();
        for bad in [",", "tenant", "=1", "a=1,,b=2", "a=1,", "a b=1", "é=1"] {
            assert!(matches!(refused(bad), Malformed::Key { .. }), "{bad:?}");
        }
        for bad in [
            "a=1,b=\"2\"",
            "a=1,b=2 3",
            "a=1,b=é",
            "a=1,b=%",
            "a=1,b=%4",
            "a=1,b=%zz",
            "a=1,b=\\",
            "a=1,b=\n",
        ] {
            assert_eq!(refused(bad), Malformed::Value { member: 1 }, "{bad:?}");
        }
        assert_eq!(refused(&"a=1,".repeat(200)), Malformed::TooMany);
        assert_eq!(refused(&"a".repeat(8_193)), Malformed::TooLong);
    }

    #[tokio::test(start_paused = true)]
    async fn a_remote_deadline_is_capped_and_so_is_its_absence() {
        let edge = Edge::builder().deadline_max(10 * SECOND).build().unwrap();
        let remaining = |text| edge.read(text, None).unwrap().remaining();
        assert_eq!(remaining(Some("99999999H")), Some(10 * SECOND));
        assert_eq!(remaining(None), Some(10 * SECOND));
        assert_eq!(remaining(Some("3S")), Some(3 * SECOND));
        let outside = Scope::root().deadline_in(SECOND);
        let inside = outside.run(async { edge.read(Some("5S"), None).unwrap().remaining() });
        assert_eq!(inside.await, Ok(Some(SECOND)), "an inherited deadline is not extended either");
        assert_eq!(Edge::builder().build().unwrap().read(None, None).unwrap().remaining(), None);
    }

    #[test]
    fn what_may_not_cross_stays_on_either_side() {
        let scope = Scope::root().label("secret", "1").label("tenant", "acme");
        assert_eq!(edge().headers(&scope).labels.as_deref(), Some("tenant=acme"));
        let none = Edge::builder().build().unwrap();
        assert_eq!(none.headers(&scope), Headers::default());
        assert_eq!(none.read(None, Some("tenant=acme")).unwrap().labels().count(), 0);
    }

    #[test]
    fn an_edge_out_of_range_is_refused_by_field() {
        let keys: Vec<String> = (0..17).map(|key| key.to_string()).collect();
        let long = "x".repeat(129);
        for (builder, field) in [
            (Edge::builder().labels(keys.iter().map(String::as_str)), "labels"),
            (Edge::builder().labels([""]), "labels"),
            (Edge::builder().labels([&*long]), "labels"),
            (Edge::builder().labels(["a=b"]), "labels"),
            (Edge::builder().deadline_max(Duration::ZERO), "deadline_max"),
            (Edge::builder().deadline_max(Duration::MAX), "deadline_max"),
        ] {
            assert_eq!(builder.build().unwrap_err().field(), field);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_deadline_comes_back_no_longer_and_hardly_shorter(seconds in 0..359_999_996_400u64, finer in 0..38u32, nanos in 0..1_000_000_000u32) {
            let left = Duration::new(seconds >> finer, nanos).max(Duration::from_nanos(1));
            let text = deadline_text(left);
            let back = parse_deadline(&text).unwrap();
            prop_assert!(text.len() <= 9 && back <= left);
            prop_assert!((left - back).as_secs_f64() <= left.as_secs_f64() * 1e-5, "{left:?} {text}");
        }

        #[test]
        fn labels_come_back_as_they_were(values in proptest::collection::vec("\\PC{0,40}|[\\x00-\\x7f]{0,128}", 1..=16)) {
            let keys: Vec<String> = (0..values.len()).map(|place| format!("key-{place}")).collect();
            let edge = Edge::builder().labels(keys.iter().map(String::as_str)).build().unwrap();
            let scope = keys.iter().zip(&values).fold(Scope::root(), |scope, (key, value)| scope.label(key, value));
            let headers = edge.headers(&scope);
            let text = headers.labels.unwrap();
            let octet = |byte: u8| is_baggage_octet(byte) || byte == b',';
            prop_assert!(text.len() <= BAGGAGE_BYTES_MAX && text.bytes().all(octet), "{text}");
            let back = edge.read(None, Some(&text)).unwrap();
            prop_assert!(back.labels().eq(scope.labels()));
        }

        #[test]
        fn hostile_headers_are_read_or_refused_and_no_more(deadline in ".{0,12}", labels in "([a-z]{0,2}[=,;% é\\x00-\\x20]{0,3}[0-9a-fA-F]{0,3}){0,40}") {
            let read = edge().read(Some(&deadline), Some(&labels));
            if let Ok(scope) = read {
                prop_assert!(scope.labels().count() <= LABELS_MAX && scope.remaining().is_some());
            }
        }
    }

    #[test]
    fn labels_that_would_be_too_long_are_left_out_whole() {
        let keys: Vec<String> = (0..16).map(|place| format!("{place:0>128}")).collect();
        let edge = Edge::builder().labels(keys.iter().map(String::as_str)).build().unwrap();
        let scope = keys.iter().fold(Scope::root(), |scope, key| scope.label(key, &"\n".repeat(128)));
        let text = edge.headers(&scope).labels.unwrap();
        assert_eq!(text.len(), 15 * (128 + 1 + 3 * 128) + 14);
        assert_eq!(edge.read(None, Some(&text)).unwrap().labels().count(), 15);
    }
}
