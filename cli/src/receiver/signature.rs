//! Verifies a webhook's signature, by the Standard Webhooks specification and by nothing else: it
//! shares no code with what signs.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// How far the signed timestamp may be from now.
const TOLERANCE_SECONDS: u64 = 300;

/// The headers that sign a delivery, as far as they are there and text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Signed<'b> {
    /// `webhook-id`.
    pub(crate) id: Option<&'b str>,
    /// `webhook-timestamp`.
    pub(crate) timestamp: Option<&'b str>,
    /// `webhook-signature`.
    pub(crate) signatures: Option<&'b str>,
}

/// An endpoint's secret.
pub(crate) struct Key(hmac::Key);

/// What is wrong with a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A header is missing or is not text.
    Missing(&'static str),
    /// The timestamp is not a number, or more than five minutes from now.
    Stale,
    /// No signature in the list is right.
    Wrong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(header) => write!(f, "no {header}"),
            Self::Stale => f.write_str("webhook-timestamp is more than five minutes from now"),
            Self::Wrong => f.write_str("no signature of webhook-signature is right"),
        }
    }
}

impl Key {
    /// From its text, `whsec_` and base64; `None` where it is not that.
    pub(crate) fn from_secret(secret: &str) -> Option<Self> {
        let bytes = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Verifies, and returns the message's id.
    ///
    /// # Errors
    /// The first [`Fault`] found.
    pub(crate) fn verify<'h>(
        &self,
        signed: Signed<'h>,
        body: &[u8],
        unix_seconds: u64,
    ) -> Result<&'h str, Fault> {
        let id = signed.id.ok_or(Fault::Missing("webhook-id"))?;
        let timestamp = signed.timestamp.ok_or(Fault::Missing("webhook-timestamp"))?;
        let signatures = signed.signatures.ok_or(Fault::Missing("webhook-signature"))?;
        let signed_at: u64 = timestamp.parse().map_err(|_| Fault::Stale)?;
        if signed_at.abs_diff(unix_seconds) > TOLERANCE_SECONDS {
            return Err(Fault::Stale);
        }
        let mut content = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            content.extend_from_slice(part);
        }
        let right = signatures.split(' ').any(|signature| {
            let tag = signature.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
            tag.is_some_and(|tag| hmac::verify(&self.0, &content, &tag).is_ok())
        });
        if right { Ok(id) } else { Err(Fault::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example in the documentation of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: u64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(signature: &str) -> Signed<'_> {
        let id = Some("msg_p5jXN8AQM9LWM0D4loKWxJek");
        Signed { id, timestamp: Some("1614265330"), signatures: Some(signature) }
    }

    #[test]
    fn the_documented_example_is_right_alone_and_in_a_list() {
        let key = Key::from_secret(SECRET).unwrap();
        assert_eq!(key.verify(headers(SIGNATURE), BODY, AT), Ok("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        let list = "v1,AAAA v1a,zzzz v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert!(key.verify(headers(list), BODY, AT + TOLERANCE_SECONDS).is_ok());
    }

    #[test]
    fn what_was_changed_is_wrong() {
        let key = Key::from_secret(SECRET).unwrap();
        assert_eq!(key.verify(headers(SIGNATURE), b"{}", AT), Err(Fault::Wrong));
        assert_eq!(key.verify(headers("v1,"), BODY, AT), Err(Fault::Wrong));
        assert_eq!(key.verify(headers("g0hM9SsE"), BODY, AT), Err(Fault::Wrong));
        assert_eq!(key.verify(headers(SIGNATURE), BODY, AT + TOLERANCE_SECONDS + 1), Err(Fault::Stale));
        let mut other = headers(SIGNATURE);
        other.id = Some("msg_2");
        assert_eq!(key.verify(other, BODY, AT), Err(Fault::Wrong));
        other.id = None;
        assert_eq!(key.verify(other, BODY, AT), Err(Fault::Missing("webhook-id")));
        let another = Key::from_secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(another.verify(headers(SIGNATURE), BODY, AT), Err(Fault::Wrong));
        assert!(Key::from_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
    }
}
