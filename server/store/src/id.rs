//! Identifiers: 20 bytes that sort by the time they were made, written as 27 letters and digits.
//!
//! The text form is that of a KSUID: 4 bytes of seconds since 2014-05-13, then 16 bytes, in base 62.
//! Ours spend the first 2 of the 16 on the fraction of the second, so that ids made by one process
//! are in order and index pages fill from one side.

use std::fmt;
use std::str::FromStr;

use crate::wall;

/// Seconds between the Unix epoch and the zero of these ids.
const EPOCH_SECONDS: u64 = 1_400_000_000;
const TEXT_LENGTH: usize = 27;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Twenty bytes that sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 20]);

impl Id {
    /// The smallest id: every made id is greater.
    pub const MIN: Self = Self([0; 20]);
    /// The largest id.
    pub const MAX: Self = Self([0xff; 20]);

    /// A fresh id for now.
    #[must_use]
    pub fn fresh() -> Self {
        let now = wall::since_epoch();
        let fraction = (u64::from(now.subsec_nanos()) << 16) / 1_000_000_000;
        Self::from_parts(now.as_secs(), fraction as u16, fastrand::u128(..))
    }

    /// The smallest id that can be made at `unix_millis`: for paging by time.
    #[must_use]
    pub fn at_millis(unix_millis: i64) -> Self {
        let millis = u64::try_from(unix_millis).unwrap_or(0);
        if millis / 1000 < EPOCH_SECONDS {
            return Self::MIN;
        }
        if millis / 1000 - EPOCH_SECONDS > u64::from(u32::MAX) {
            return Self::MAX;
        }
        Self::from_parts(millis / 1000, (((millis % 1000) << 16).div_ceil(1000)) as u16, 0)
    }

    fn from_parts(unix_seconds: u64, fraction: u16, random: u128) -> Self {
        let mut bytes = [0; 20];
        let seconds = unix_seconds.saturating_sub(EPOCH_SECONDS) as u32;
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..6].copy_from_slice(&fraction.to_be_bytes());
        bytes[6..].copy_from_slice(&random.to_be_bytes()[2..]);
        Self(bytes)
    }

    /// From its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    fn encode(self) -> [u8; TEXT_LENGTH] {
        let mut limbs = [0u32; 5];
        for (limb, chunk) in limbs.iter_mut().zip(self.0.chunks_exact(4)) {
            *limb = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        let mut text = [b'0'; TEXT_LENGTH];
        for digit in text.iter_mut().rev() {
            let mut remainder = 0u64;
            for limb in &mut limbs {
                let value = (remainder << 32) | u64::from(*limb);
                *limb = (value / 62) as u32;
                remainder = value % 62;
            }
            *digit = DIGITS[remainder as usize];
        }
        text
    }

    fn decode(text: &[u8]) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut limbs = [0u32; 5];
        for byte in text {
            let mut carry = match byte {
                b'0'..=b'9' => u64::from(byte - b'0'),
                b'A'..=b'Z' => u64::from(byte - b'A') + 10,
                b'a'..=b'z' => u64::from(byte - b'a') + 36,
                _ => return None,
            };
            for limb in limbs.iter_mut().rev() {
                let value = u64::from(*limb) * 62 + carry;
                *limb = value as u32;
                carry = value >> 32;
            }
            if carry != 0 {
                return None;
            }
        }
        let mut bytes = [0; 20];
        for (chunk, limb) in bytes.chunks_exact_mut(4).zip(limbs) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.encode() {
            f.write_str(char::from(byte).encode_utf8(&mut [0; 4]))?;
        }
        Ok(())
    }
}

/// Text that is not an id of the kind asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseIdError {
    prefix: &'static str,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an id: expected {} followed by {TEXT_LENGTH} letters and digits", self.prefix)
    }
}

impl std::error::Error for ParseIdError {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Id);

        impl $name {
            /// What its text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh one for now.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Id::fresh())
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 20] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix($prefix)
                    .and_then(|digits| Id::decode(digits.as_bytes()))
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }
    )*};
}

ids! {
    /// The id of a background job.
    JobId = "job_";
    /// The id of an application: a tenant.
    AppId = "app_";
    /// The id of an endpoint.
    EndpointId = "ep_";
    /// The id of a message.
    MessageId = "msg_";
    /// The id of one attempt to deliver a message to an endpoint.
    AttemptId = "atmpt_";
    /// The id of a background task.
    TaskId = "qtask_";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_survives_its_text(bytes: [u8; 20]) {
            let id = MessageId(Id::from_bytes(bytes));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_sorts_as_bytes_do(a: [u8; 20], b: [u8; 20]) {
            let (a, b) = (Id::from_bytes(a), Id::from_bytes(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn a_known_ksuid_reads_as_it_does_elsewhere() {
        // The example of the format's own documentation.
        let id = Id::decode(b"0ujtsYcgvSTl8PAuAdqWYSMnLOv").unwrap();
        let hex: String = id.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, "0669F7EFB5A1CD34B5F99D1154FB6853345C9735");
    }

    #[test]
    fn strangers_are_refused() {
        for text in ["", "msg_", "app_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "msg_0ujtsYcgvSTl8PAuAdqWYSMnLO-"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
        assert!("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<MessageId>().is_err(), "over 160 bits");
    }

    #[test]
    fn ids_made_later_are_greater_and_paging_bounds_are_between() {
        let before = wall::wall_clock();
        let id = Id::fresh();
        assert!(Id::at_millis(before) <= id);
        assert!(Id::at_millis(before + 5_000) > id);
        assert_eq!(Id::at_millis(-1), Id::MIN);
        assert_eq!(Id::at_millis(i64::MAX), Id::MAX);
    }
}
