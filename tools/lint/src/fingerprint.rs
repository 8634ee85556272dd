use std::fmt;
use std::str::FromStr;

use crate::finding::Finding;

/// A short name for a site, the same when lines above it move and when it is formatted anew: made of the
/// rule, the path, the function, the site's own tokens, and how many like it stand before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a finding.
    pub fn of(finding: &Finding) -> Self {
        let mut hash = Fnv::new();
        for part in finding.identity() {
            hash.write(part.as_bytes());
            // No part has it, so that no two lists of parts are written alike.
            hash.write(&[0xff]);
        }
        hash.write(finding.ordinal.to_string().as_bytes());
        Self(hash.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| format!("`{text}` is no fingerprint, which has 16 hexadecimal digits"))
    }
}

/// FNV-1a: what it gives never changes with a version of Rust, as the standard library's hash may.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_published_vectors() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            let mut fnv = Fnv::new();
            fnv.write(text.as_bytes());
            assert_eq!(fnv.0, hash, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again_and_nothing_else_is() {
        let print = Fingerprint(0x00ab);
        assert_eq!(print.to_string().parse(), Ok(print));
        for wrong in ["", "ab", "00000000000000zz", "00000000000000000", "+000000000000000"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
