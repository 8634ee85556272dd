//! Points in time as the interface writes them: RFC 3339, UTC, milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

const LENGTH: usize = "2026-01-02T03:04:05.678Z".len();

/// Now, by the wall clock, in milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// A point in time, in milliseconds since the Unix epoch, that is written as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Its text; years before 0 and after 9999 cannot be written and become the epoch.
    pub fn text(self) -> [u8; LENGTH] {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .filter(|at| (0..=9_999).contains(&at.year()))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[..4], at.year().unsigned_abs());
        digits(&mut text[5..7], u8::from(at.month()).into());
        digits(&mut text[8..10], at.day().into());
        digits(&mut text[11..13], at.hour().into());
        digits(&mut text[14..16], at.minute().into());
        digits(&mut text[17..19], at.second().into());
        digits(&mut text[20..23], at.millisecond().into());
        text
    }

    /// Reads RFC 3339. Without an offset it is UTC: some clients leave it out.
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| {
                PrimitiveDateTime::parse(&format!("{text}Z"), &Rfc3339).map(PrimitiveDateTime::assume_utc)
            })
            .ok()?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

fn digits(into: &mut [u8], mut number: u32) {
    for place in into.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_point_in_time_survives_its_text(millis in -62_000_000_000_000i64..253_000_000_000_000) {
            let text = Timestamp(millis).text();
            let text = std::str::from_utf8(&text).unwrap();
            prop_assert_eq!(Timestamp::parse(text), Some(Timestamp(millis)), "{}", text);
        }

        #[test]
        fn no_point_in_time_panics(millis: i64) {
            prop_assert!(Timestamp(millis).text().is_ascii());
        }
    }

    #[test]
    fn a_known_instant_reads_as_published() {
        assert_eq!(&Timestamp(1_767_323_045_678).text(), b"2026-01-02T03:04:05.678Z");
        for text in [
            "2026-01-02T03:04:05.678Z",
            "2026-01-02T04:04:05.678901+01:00",
            "2026-01-02T03:04:05.678",
            "2026-01-02T03:04:05.678000000+00:00",
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(1_767_323_045_678)), "{text}");
        }
        for text in ["", "2026", "yesterday", "2026-13-02T03:04:05Z", "1767323045"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
