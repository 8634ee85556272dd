//! What values are allowed: pure functions, by the patterns and limits of the interface.
//!
//! Where the interface sets no limit one is set here, since everything has one: each is said at
//! its constant.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use plimsoll_store::{Priority, Secret, UnixMillis};
use serde_json::value::RawValue;
use url::Url;

use super::body;
use super::problems::Problem;
use super::timestamp::Timestamp;

const UID_MAX: usize = 256;
const EVENT_TYPE_MAX: usize = 256;
const CHANNEL_MAX: usize = 128;
const ENDPOINT_CHANNELS_MAX: usize = 10;
const MESSAGE_CHANNELS_MAX: usize = 5;
/// The interface sets no limit.
const ENDPOINT_EVENT_TYPES_MAX: usize = 1_000;
/// The interface sets no limit.
const NAME_BYTES_MAX: usize = 4_096;
/// The interface sets no limit.
const DESCRIPTION_BYTES_MAX: usize = 16_384;
/// The interface allows 65,536; few servers read a request line of more than 8 KiB.
const URL_BYTES_MAX: usize = 8_192;
/// The interface sets no limit.
const METADATA_KEYS_MAX: usize = 50;
/// The interface sets no limit; of keys and values together.
const METADATA_BYTES_MAX: usize = 16_384;
const SECRET_PREFIX: &str = "whsec_";
const SECRET_TEXT: std::ops::RangeInclusive<usize> = 32..=100;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=75;
const DELIVER_AHEAD_MS: std::ops::RangeInclusive<i64> = -60_000..=30 * 86_400_000;
const RETENTION_DAYS: std::ops::RangeInclusive<i64> = 5..=90;

/// Receivers hold secrets as text: with and without padding both occur.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `^[a-zA-Z0-9\-_.]+$`, at most `max` characters.
pub(super) fn identifier<'a>(text: Cow<'a, str>, max: usize) -> Result<Cow<'a, str>, Problem> {
    if text.is_empty() || text.len() > max {
        return Err(Problem::value(format!("must have 1 to {max} characters, has {}", text.chars().count())));
    }
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        Ok(text)
    } else {
        Err(Problem::value("allowed are a-z, A-Z, 0-9, '-', '_' and '.'"))
    }
}

/// The caller's own name for something.
pub(super) fn uid(text: String) -> Result<String, Problem> {
    identifier(text.into(), UID_MAX).map(Cow::into_owned)
}

/// An event type.
pub(super) fn event_type<'a>(text: impl Into<Cow<'a, str>>) -> Result<Cow<'a, str>, Problem> {
    identifier(text.into(), EVENT_TYPE_MAX)
}

/// One channel.
pub(super) fn channel(text: String) -> Result<String, Problem> {
    identifier(text.into(), CHANNEL_MAX).map(Cow::into_owned)
}

/// A feature flag.
pub(super) fn feature_flag(text: String) -> Result<String, Problem> {
    identifier(text.into(), UID_MAX).map(Cow::into_owned)
}

/// The channels that an endpoint listens to.
pub(super) fn endpoint_channels(list: Vec<String>) -> Result<Vec<String>, Problem> {
    set(list, ENDPOINT_CHANNELS_MAX, CHANNEL_MAX)
}

/// The channels of a message.
pub(super) fn message_channels(list: Vec<String>) -> Result<Vec<String>, Problem> {
    set(list, MESSAGE_CHANNELS_MAX, CHANNEL_MAX)
}

/// The event types that an endpoint listens to.
pub(super) fn endpoint_event_types(list: Vec<String>) -> Result<Vec<String>, Problem> {
    set(list, ENDPOINT_EVENT_TYPES_MAX, EVENT_TYPE_MAX)
}

/// One to `max` identifiers; what is there twice counts once.
fn set(list: Vec<String>, max: usize, length_max: usize) -> Result<Vec<String>, Problem> {
    let mut unique: Vec<String> = Vec::with_capacity(list.len().min(max));
    for one in list {
        let one = identifier(one.into(), length_max)?.into_owned();
        if unique.contains(&one) {
            continue;
        }
        if unique.len() == max {
            return Err(Problem::value(format!("must have at most {max} items")));
        }
        unique.push(one);
    }
    if unique.is_empty() {
        return Err(Problem::value(format!("must have 1 to {max} items, or be null for all")));
    }
    Ok(unique)
}

/// A name for people.
pub(super) fn name(text: String) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Problem::value("must not be empty"));
    }
    prose(text, NAME_BYTES_MAX)
}

/// A description for people.
pub(super) fn description(text: String) -> Result<String, Problem> {
    prose(text, DESCRIPTION_BYTES_MAX)
}

fn prose(text: String, max: usize) -> Result<String, Problem> {
    if text.len() > max {
        return Err(Problem::value(format!("must have at most {max} bytes, has {}", text.len())));
    }
    if text.bytes().any(|byte| byte <= 0x08) {
        return Err(Problem::value("control characters 0x00 to 0x08 are not allowed"));
    }
    Ok(text)
}

/// Messages a second.
pub(super) fn throttle_rate(rate: i64) -> Result<u32, Problem> {
    match u16::try_from(rate) {
        Ok(rate) if rate > 0 => Ok(rate.into()),
        _ => Err(Problem::value(format!(
            "must be 1 to 65535 messages a second, or null for no limit; is {rate}"
        ))),
    }
}

/// For how many days the payload is kept.
pub(super) fn retention_days(days: i64) -> Result<u16, Problem> {
    let fits = RETENTION_DAYS.contains(&days).then(|| u16::try_from(days).ok()).flatten();
    fits.ok_or_else(|| Problem::value(format!("must be 5 to 90 days, is {days}")))
}

/// When a message is to be delivered; `None` where that is now. The interface allows a minute to a
/// day ahead: we are wider, and a clock that is a little slow is no error.
pub(super) fn deliver_at(text: &str, now: UnixMillis) -> Result<Option<UnixMillis>, Problem> {
    let Timestamp(at) =
        Timestamp::parse(text).ok_or(Problem::type_is_not("expected a time in the form of RFC 3339"))?;
    let ahead = at.saturating_sub(now);
    if !DELIVER_AHEAD_MS.contains(&ahead) {
        return Err(Problem::value(format!(
            "must lie between a minute ago and 30 days ahead, is {}s ahead",
            ahead / 1_000
        )));
    }
    Ok((ahead > 0).then_some(at))
}

/// What goes out first.
pub(super) fn priority(text: &str) -> Result<Priority, Problem> {
    match text {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(Problem::value("expected high, normal or low")),
    }
}

/// The caller's own keys and values, as JSON text.
pub(super) fn metadata(map: &BTreeMap<String, String>) -> Result<String, Problem> {
    if map.len() > METADATA_KEYS_MAX {
        return Err(Problem::value(format!("must have at most {METADATA_KEYS_MAX} keys, has {}", map.len())));
    }
    let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Problem::value(format!(
            "keys and values must have at most {METADATA_BYTES_MAX} bytes together, have {bytes}"
        )));
    }
    serde_json::to_string(map).map_err(|error| Problem::value(error.to_string()))
}

/// Where an endpoint is: an absolute `http` or `https` URL, kept as it was written.
///
/// Only its form is looked at. Whether the address it leads to may be connected to is decided at
/// each connection, because a name may lead elsewhere by then. A fragment is allowed and never sent.
pub(super) fn url(text: String) -> Result<String, Problem> {
    if text.is_empty() || text.len() > URL_BYTES_MAX {
        return Err(Problem::value(format!("must have 1 to {URL_BYTES_MAX} bytes, has {}", text.len())));
    }
    // The parser would pass over some of these without a word.
    if text.chars().any(|one| one.is_control() || one.is_whitespace()) {
        return Err(Problem::value("must not contain white space or control characters"));
    }
    let parsed =
        Url::parse(&text).map_err(|error| Problem::value(format!("is not an absolute URL: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Problem::value("must be an http or https URL"));
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err(Problem::value("has no host"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Problem::value("must not contain a user name or password: set a header instead"));
    }
    Ok(text)
}

/// A signing secret: base64 of 24 to 75 bytes, with or without `whsec_` before it.
pub(super) fn secret(text: &str) -> Result<Secret, Problem> {
    let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
    let bytes = SECRET_TEXT.contains(&encoded.len()).then(|| BASE64.decode(encoded).ok()).flatten();
    match bytes {
        Some(bytes) if SECRET_BYTES.contains(&bytes.len()) => Ok(Secret(bytes)),
        _ => Err(Problem::value("must be base64 of 24 to 75 random bytes, with or without whsec_ before it")),
    }
}

/// A secret as its owner sees it.
pub(super) fn secret_text(secret: &Secret) -> String {
    format!("{SECRET_PREFIX}{}", BASE64.encode(&secret.0))
}

/// An identifier in JSON, borrowed where it can be: the usual case, none of its characters needs an escape.
pub(super) fn identifier_in(raw: &RawValue, max: usize) -> Result<Cow<'_, str>, Problem> {
    let plain = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match plain {
        Some(text) if !text.contains('\\') => identifier(text.into(), max),
        _ => identifier(body::text(raw)?.into(), max),
    }
}

/// A message's event type in JSON.
pub(super) fn event_type_in(raw: &RawValue) -> Result<Cow<'_, str>, Problem> {
    identifier_in(raw, EVENT_TYPE_MAX)
}

/// A message's event id in JSON.
pub(super) fn event_id_in(raw: &RawValue) -> Result<Cow<'_, str>, Problem> {
    identifier_in(raw, UID_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn identifiers_are_what_the_pattern_matches(text in "[ -~äß\n]{0,20}") {
            let fits = !text.is_empty()
                && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one));
            prop_assert_eq!(identifier(text.as_str().into(), 256).is_ok(), fits);
        }

        #[test]
        fn an_identifier_in_json_is_what_a_parser_reads(text in "[a-zA-Z0-9._-]{1,20}", escape: bool) {
            let json = if escape {
                let escaped: String = text.chars().map(|one| format!("\\u{:04x}", one as u32)).collect();
                format!("\"{escaped}\"")
            } else {
                serde_json::to_string(&text).unwrap()
            };
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(identifier_in(raw, 20).unwrap(), text);
        }

        #[test]
        fn secrets_survive_their_text(bytes in prop::collection::vec(any::<u8>(), 24..=75)) {
            let secret_of = Secret(bytes);
            let text = secret_text(&secret_of);
            prop_assert_eq!(secret(&text), Ok(secret_of.clone()));
            prop_assert_eq!(secret(text.strip_prefix("whsec_").unwrap().trim_end_matches('=')), Ok(secret_of));
        }

        #[test]
        fn a_url_that_is_taken_can_be_parsed_and_is_kept_as_written(text in "\\PC{0,40}") {
            if let Ok(kept) = url(format!("https://{text}")) {
                prop_assert_eq!(&kept, &format!("https://{text}"));
                prop_assert!(Url::parse(&kept).unwrap().host_str().is_some());
            }
        }
    }

    #[test]
    fn urls_are_absolute_http_without_user() {
        for good in ["http://a", "https://a.example:8443/b?c=d#e", "http://127.0.0.1:1/", "http://[::1]/"] {
            assert_eq!(url(good.into()).unwrap(), good);
        }
        let long = format!("http://a/{}", "x".repeat(URL_BYTES_MAX));
        for bad in [
            "",
            "a",
            "/a",
            "//a",
            "ftp://a",
            "http://",
            "http://[:::1]",
            "https://u@a",
            "https://u:p@a",
            "https://:p@a",
            "http://a b",
            " http://a",
            "http://a\n",
            "http://a/\tb",
            "javascript:alert(1)",
            "http:",
            &long,
        ] {
            assert!(url(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_of_another_size_are_refused() {
        for length in [0, 23, 76, 100] {
            assert!(secret(&BASE64.encode(vec![7; length])).is_err(), "{length}");
        }
        assert!(secret("whsec_????????????????????????????????").is_err());
    }

    #[test]
    fn sets_have_their_sizes_and_drop_repeats() {
        let names = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>();
        assert!(endpoint_channels(names(0)).is_err());
        assert_eq!(endpoint_channels(names(10)).unwrap().len(), 10);
        assert!(endpoint_channels(names(11)).is_err());
        assert_eq!(message_channels(names(5)).unwrap().len(), 5);
        assert!(message_channels(names(6)).is_err());
        assert_eq!(message_channels(vec!["a".into(); 9]).unwrap(), ["a"]);
        assert!(message_channels(vec!["a b".into()]).is_err());
        assert!(message_channels(vec!["a".repeat(129)]).is_err());
        assert!(endpoint_event_types(vec!["a".repeat(256)]).is_ok());
    }

    #[test]
    fn numbers_have_their_ranges() {
        for (rate, fits) in
            [(-1, false), (0, false), (1, true), (65_535, true), (65_536, false), (i64::MAX, false)]
        {
            assert_eq!(throttle_rate(rate).is_ok(), fits, "{rate}");
        }
        for (days, fits) in [(4, false), (5, true), (90, true), (91, false), (i64::MIN, false)] {
            assert_eq!(retention_days(days).is_ok(), fits, "{days}");
        }
    }

    #[test]
    fn metadata_is_bounded() {
        let map = |keys: usize, bytes: usize| (0..keys).map(|n| (n.to_string(), "x".repeat(bytes))).collect();
        assert!(metadata(&map(50, 10)).is_ok());
        assert!(metadata(&map(51, 10)).is_err());
        assert!(metadata(&map(2, METADATA_BYTES_MAX / 2)).is_err());
        assert_eq!(metadata(&BTreeMap::from([("a".into(), "\"".into())])).unwrap(), r#"{"a":"\""}"#);
    }

    #[test]
    fn names_for_people() {
        assert!(name(String::new()).is_err());
        assert!(name("a\0".into()).is_err());
        assert_eq!(name("Ä & Ö\n".into()).unwrap(), "Ä & Ö\n");
        assert_eq!(description(String::new()).unwrap(), "");
    }
}
