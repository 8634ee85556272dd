//! Signatures by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use plimsoll_store::{Endpoint, Secret, UnixMillis};
use ring::hmac;

/// The keys that sign for an endpoint: the one in force, and those rotated out that still sign.
pub(crate) struct Signer {
    current: hmac::Key,
    old: Vec<(hmac::Key, UnixMillis)>,
}

impl Signer {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        let old = endpoint.old_secrets.iter().map(|old| (key(&old.secret), old.expires_at)).collect();
        Self { current: key(&endpoint.secret), old }
    }

    /// The value of `webhook-signature`: a `v1,<base64>` for each key that signs at `now`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8], now: UnixMillis) -> HeaderValue {
        let mut text = String::with_capacity(48);
        let old = self.old.iter().filter(|(_, expires_at)| *expires_at > now).map(|(key, _)| key);
        for key in std::iter::once(&self.current).chain(old) {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(part);
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str("v1,");
            STANDARD.encode_string(context.sign(), &mut text);
        }
        HeaderValue::try_from(text).expect("base64 and commas are visible characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::test_endpoint;
    use plimsoll_store::OldSecret;

    /// The worked example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn the_example_of_the_specification_signs_as_published() {
        let mut endpoint = test_endpoint("https://example.com/");
        endpoint.secret = Secret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signed = Signer::new(&endpoint).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
            0,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_rotated_secret_signs_until_it_expires() {
        let mut endpoint = test_endpoint("https://example.com/");
        endpoint.old_secrets = vec![OldSecret { secret: Secret(vec![7; 24]), expires_at: 1_000 }];
        let signer = Signer::new(&endpoint);
        let count = |now| signer.sign("m", "1", b"{}", now).to_str().unwrap().split(' ').count();
        assert_eq!((count(999), count(1_000)), (2, 1));
    }
}
