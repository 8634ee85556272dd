//! What is set: values, and how their text is read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::json;

use super::setting::{ITEMS_MAX, Kind, TEXT_BYTES_MAX};

/// The value of a setting, as its [`Kind`] has it.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nobody set it, and it has no default.
    Absent,
    /// A whole number, or a time in the unit of its key.
    Integer(u64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text, or a word out of a choice.
    Text(String),
    /// Times, in the unit of the key.
    Integers(Vec<u64>),
    /// Texts.
    Texts(Vec<String>),
    /// Networks.
    Networks(Vec<IpNet>),
    /// An address and a port.
    Address(SocketAddr),
    /// A path.
    Path(PathBuf),
}

/// A value before its kind was looked at: what a file or the environment can say.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Raw {
    /// Text of the environment, a flag or a default: a list is written with commas.
    Loose(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(String),
    List(Vec<Raw>),
    /// A date, or a table where a value must be.
    Other(&'static str),
}

impl Raw {
    /// As a JSON text has it.
    pub(crate) fn of_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Other("null"),
            serde_json::Value::Bool(value) => Self::Boolean(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Self::Integer(number),
                (None, Some(number)) => Self::Float(number),
                (None, None) => Self::Other("number that is too large"),
            },
            serde_json::Value::String(text) => Self::Text(text.clone()),
            // Lists of lists are no value of ours: what is in them does not matter.
            serde_json::Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| if item.is_array() { Self::Other("list") } else { Self::of_json(item) })
                    .collect(),
            ),
            serde_json::Value::Object(_) => Self::Other("table"),
        }
    }

    /// Reads it as `kind`; `None` when it is not one.
    pub(crate) fn read(&self, kind: Kind) -> Option<Value> {
        match (self, kind.is_list()) {
            // An empty variable is one that is not set.
            (Self::Loose(text), false) => read_one(kind, &Self::Loose(text.trim().into())),
            (Self::Loose(text), true) => {
                // As in the file, with brackets and quotes, or without.
                let text = text.trim();
                let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
                let unquoted = |item: &'_ str| item.trim().trim_matches('"').to_owned();
                let items = text.split(',').map(unquoted).filter(|item| !item.is_empty());
                // One more than allowed is enough to refuse it.
                let items: Vec<Raw> = items.take(ITEMS_MAX + 1).map(Self::Loose).collect();
                read_list(kind, &items)
            }
            (Self::List(items), true) => read_list(kind, items),
            (_, true) => None,
            (one, false) => read_one(kind, one),
        }
    }

    fn integer(&self) -> Option<u64> {
        match self {
            Self::Loose(text) => {
                // As in TOML and Rust: 1_000_000.
                let digits = text.replace('_', "");
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
            }
            Self::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Loose(text) => text.parse().ok(),
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Loose(text) => text.parse().ok(),
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Loose(text) | Self::Text(text) => {
                (text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control)).then_some(text)
            }
            _ => None,
        }
    }

    fn parsed<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn network(&self) -> Option<IpNet> {
        self.parsed().or_else(|| self.parsed::<IpAddr>().map(IpNet::from)).map(|network| network.trunc())
    }

    fn filled(&self) -> Option<&str> {
        self.text().filter(|text| !text.is_empty())
    }
}

impl fmt::Display for Raw {
    /// As it was written, shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loose(text) | Self::Text(text) => {
                let shown: String = text.chars().take(80).collect();
                write!(f, "{shown:?}")
            }
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Other(what) => write!(f, "a {what}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (number, item) in items.iter().take(8).enumerate() {
                    write!(f, "{}{item}", if number == 0 { "" } else { ", " })?;
                }
                f.write_str(if items.len() > 8 { ", …]" } else { "]" })
            }
        }
    }
}

fn read_one(kind: Kind, raw: &Raw) -> Option<Value> {
    match kind {
        Kind::Integer { min, max } | Kind::Milliseconds { min, max } | Kind::Seconds { min, max } => {
            raw.integer().filter(|number| (min..=max).contains(number)).map(Value::Integer)
        }
        Kind::Number { min, max } => {
            raw.number().filter(|number| (min..=max).contains(number)).map(Value::Number)
        }
        Kind::Boolean => raw.boolean().map(Value::Boolean),
        Kind::Text => raw.filled().map(|text| Value::Text(text.into())),
        Kind::Choice(words) => {
            raw.text().filter(|text| words.contains(text)).map(|text| Value::Text(text.into()))
        }
        Kind::Address => raw.parsed().map(Value::Address),
        Kind::Path => raw.filled().map(|text| Value::Path(text.into())),
        Kind::SecondsList { .. } | Kind::TextList { .. } | Kind::NetworkList { .. } => None,
    }
}

fn read_list(kind: Kind, items: &[Raw]) -> Option<Value> {
    match kind {
        Kind::SecondsList { min, max, items_max } if items.len() <= items_max => {
            let in_range = |item: &Raw| item.integer().filter(|number| (min..=max).contains(number));
            items.iter().map(in_range).collect::<Option<_>>().map(Value::Integers)
        }
        Kind::TextList { items_max } if items.len() <= items_max => {
            items.iter().map(|item| item.filled().map(String::from)).collect::<Option<_>>().map(Value::Texts)
        }
        Kind::NetworkList { items_max } if items.len() <= items_max => {
            items.iter().map(Raw::network).collect::<Option<_>>().map(Value::Networks)
        }
        _ => None,
    }
}

impl Value {
    /// In its own type; a list of networks is one of texts.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Absent => serde_json::Value::Null,
            Self::Integer(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Boolean(value) => json!(value),
            Self::Integers(items) => json!(items),
            Self::Texts(items) => json!(items),
            Self::Networks(items) => json!(items.iter().map(ToString::to_string).collect::<Vec<_>>()),
            value @ (Self::Text(_) | Self::Address(_) | Self::Path(_)) => json!(value.to_string()),
        }
    }
}

impl fmt::Display for Value {
    /// As it would be written in the environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
            for (number, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if number == 0 { "" } else { "," })?;
            }
            Ok(())
        }
        match self {
            Self::Absent => Ok(()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
            Self::Integers(items) => list(f, items),
            Self::Texts(items) => list(f, items),
            Self::Networks(items) => list(f, items),
            Self::Address(address) => write!(f, "{address}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loose(kind: Kind, text: &str) -> Option<Value> {
        Raw::Loose(text.into()).read(kind)
    }

    #[test]
    fn numbers_outside_of_their_range_are_refused() {
        let kind = Kind::Milliseconds { min: 100, max: 120_000 };
        assert_eq!(loose(kind, "100"), Some(Value::Integer(100)));
        assert_eq!(loose(kind, " 120_000 "), Some(Value::Integer(120_000)));
        for text in ["99", "120001", "-1", "+100", "1e3", "100ms", "", "99999999999999999999999"] {
            assert_eq!(loose(kind, text), None, "{text}");
        }
        let kind = Kind::Number { min: 0.0, max: 1.0 };
        assert_eq!(loose(kind, "0.2"), Some(Value::Number(0.2)));
        for text in ["1.01", "-0.1", "NaN", "inf", ""] {
            assert_eq!(loose(kind, text), None, "{text}");
        }
    }

    #[test]
    fn lists_are_written_with_commas_and_bounded() {
        let kind = Kind::SecondsList { min: 1, max: 10, items_max: 3 };
        assert_eq!(loose(kind, "1, 2,3"), Some(Value::Integers(vec![1, 2, 3])));
        assert_eq!(loose(kind, "[1, \"2\", 3]"), Some(Value::Integers(vec![1, 2, 3])), "as in a file");
        assert_eq!(loose(kind, ""), Some(Value::Integers(vec![])));
        assert_eq!(loose(kind, "1,2,3,4"), None);
        assert_eq!(loose(kind, "1,11"), None);
    }

    #[test]
    fn a_network_may_be_one_address_and_loses_its_host_bits() {
        let kind = Kind::NetworkList { items_max: 8 };
        let networks = loose(kind, "127.0.0.1,10.1.2.3/8,::1,fd00::/8").unwrap();
        assert_eq!(networks.to_string(), "127.0.0.1/32,10.0.0.0/8,::1/128,fd00::/8");
        assert_eq!(loose(kind, "localhost"), None);
        assert_eq!(loose(kind, "10.0.0.0/33"), None);
    }

    #[test]
    fn a_file_may_not_write_a_number_as_text_nor_one_item_as_a_list() {
        assert_eq!(Raw::Text("5".into()).read(Kind::Integer { min: 0, max: 9 }), None);
        assert_eq!(Raw::Text("true".into()).read(Kind::Boolean), None);
        assert_eq!(Raw::Text("::1".into()).read(Kind::NetworkList { items_max: 1 }), None);
        assert_eq!(Raw::List(vec![]).read(Kind::Text), None);
        assert_eq!(Raw::Integer(-1).read(Kind::Integer { min: 0, max: 9 }), None);
    }

    proptest! {
        #[test]
        fn a_shown_value_reads_as_the_same(numbers in prop::collection::vec(0_u64..1_000, 0..20)) {
            let kind = Kind::SecondsList { min: 0, max: 1_000, items_max: 20 };
            let value = Value::Integers(numbers);
            prop_assert_eq!(loose(kind, &value.to_string()), Some(value));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            for kind in [
                Kind::Integer { min: 0, max: 9 }, Kind::Number { min: 0.0, max: 1.0 }, Kind::Boolean, Kind::Text,
                Kind::Choice(&["a"]), Kind::TextList { items_max: 2 }, Kind::NetworkList { items_max: 2 },
                Kind::Address, Kind::Path,
            ] {
                let _ = loose(kind, &text);
            }
        }
    }
}
