//! JSON web tokens as this server makes and takes them: HS256 and nothing else.
//!
//! Written here instead of taken from a crate because a crate speaks every algorithm of the
//! standard, and most mistakes with these tokens are about an algorithm nobody wanted.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// How long a token may be, in bytes of text.
pub(crate) const TOKEN_BYTES_MAX: usize = 4_096;
/// By how much clocks may differ.
const LEEWAY: Duration = Duration::from_secs(60);
/// `{"alg":"HS256","typ":"JWT"}`, the header of every token made here.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// For whom.
    pub(crate) sub: String,
    /// Made at; Unix seconds, as the next two.
    pub(crate) iat: Option<u64>,
    /// Not valid before.
    pub(crate) nbf: Option<u64>,
    /// Not valid from here on; a token without an end is refused.
    pub(crate) exp: u64,
    /// Made by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
}

/// Why a token is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// Longer than a token may be.
    TooLong,
    /// Not three parts of base64, or not the JSON that must be in them.
    Malformed,
    /// Signed by another algorithm than HS256, or asking for an extension of the format.
    Algorithm,
    /// The signature is not ours.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
}

/// The token that says `claims`.
pub(crate) fn sign(key: &hmac::Key, claims: &Claims) -> String {
    let claims = serde_json::to_vec(claims).expect("strings and numbers are always JSON");
    let mut token = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(key, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// What `token` says, if it was signed with `key` and is valid at `now` (Unix seconds).
pub(crate) fn verify(key: &hmac::Key, token: &str, now: u64) -> Result<Claims, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    if header != HEADER {
        check_header(header)?;
    }
    // The decoder refuses padding, other alphabets and stray bits: a token has one text.
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Malformed)?;
    // In constant time, and before a byte of the claims is looked at.
    hmac::verify(key, signed.as_bytes(), &signature).map_err(|_| Refusal::Signature)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Refusal::Malformed)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refusal::Malformed)?;
    if now >= claims.exp.saturating_add(LEEWAY.as_secs()) {
        return Err(Refusal::Expired);
    }
    if claims.nbf.is_some_and(|from| now.saturating_add(LEEWAY.as_secs()) < from) {
        return Err(Refusal::NotYet);
    }
    Ok(claims)
}

/// Tokens made by other tools may order or space their header in another way.
fn check_header(header: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        typ: Option<String>,
        crit: Option<serde::de::IgnoredAny>,
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal::Malformed)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| Refusal::Malformed)?;
    let type_fits = header.typ.is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"));
    // A reader that does not know an extension marked critical must refuse; we know none.
    if header.alg == "HS256" && type_fits && header.crit.is_none() { Ok(()) } else { Err(Refusal::Algorithm) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(text: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())
    }

    fn claims() -> Claims {
        Claims {
            sub: "org_x".into(),
            iat: Some(NOW),
            nbf: Some(NOW),
            exp: NOW + 100,
            iss: Some("plimsoll".into()),
        }
    }

    /// A token with any header and claims, rightly signed over its text.
    fn forge(header: &str, claims: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&key("secret"), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn refusal(token: &str) -> Refusal {
        verify(&key("secret"), token, NOW).unwrap_err()
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let token = sign(&key("secret"), &claims());
        assert_eq!(verify(&key("secret"), &token, NOW), Ok(claims()));
        assert_eq!(URL_SAFE_NO_PAD.decode(HEADER).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
    }

    #[test]
    fn the_example_of_the_standard_is_verified() {
        // RFC 7515, appendix A.1: the key and the token, whose claims have no `sub`.
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = hmac::Key::new(hmac::HMAC_SHA256, &URL_SAFE_NO_PAD.decode(secret).unwrap());
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogI\
                     mh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // Malformed comes after the signature: it was right.
        assert_eq!(verify(&key, token, NOW), Err(Refusal::Malformed));
        assert_eq!(refusal(token), Refusal::Signature);
    }

    #[test]
    fn another_key_is_refused() {
        assert_eq!(refusal(&sign(&key("another"), &claims())), Refusal::Signature);
    }

    #[test]
    fn every_algorithm_but_hs256_is_refused_even_rightly_signed() {
        let body = serde_json::to_string(&claims()).unwrap();
        assert!(verify(&key("secret"), &forge(r#"{"alg":"HS256"}"#, &body), NOW).is_ok());
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None","typ":"JWT"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"HS256","typ":"JWE"}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        ] {
            assert_eq!(refusal(&forge(header, &body)), Refusal::Algorithm, "{header}");
        }
        for header in [r#"{"alg":"HS256","alg":"none"}"#, r#"{"typ":"JWT"}"#, "[]", ""] {
            assert_eq!(refusal(&forge(header, &body)), Refusal::Malformed, "{header}");
        }
        let unsigned =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(&body));
        assert_eq!(refusal(&unsigned), Refusal::Algorithm);
    }

    #[test]
    fn its_time_is_kept_with_a_minute_of_leeway() {
        let token = sign(&key("secret"), &claims());
        let at = |now| verify(&key("secret"), &token, now);
        assert_eq!(at(NOW + 159), Ok(claims()));
        assert_eq!(at(NOW + 160), Err(Refusal::Expired));
        assert_eq!(at(NOW - 60), Ok(claims()));
        assert_eq!(at(NOW - 61), Err(Refusal::NotYet));
    }

    #[test]
    fn a_token_without_an_end_or_a_subject_is_refused() {
        for body in [r#"{"sub":"org_x"}"#, r#"{"exp":1900000000}"#, r#"{"sub":"org_x","exp":"soon"}"#, "1"] {
            assert_eq!(refusal(&forge(r#"{"alg":"HS256"}"#, body)), Refusal::Malformed, "{body}");
        }
    }

    #[test]
    fn fewer_or_more_parts_and_long_tokens_are_refused() {
        let token = sign(&key("secret"), &claims());
        for text in
            ["", ".", "..", "a.b", &token[..token.len() - 1], &format!("{token}="), &format!("{token}.x")]
        {
            assert!(verify(&key("secret"), text, NOW).is_err(), "{text}");
        }
        assert_eq!(refusal(&"x".repeat(TOKEN_BYTES_MAX + 1)), Refusal::TooLong);
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unnoticed(at: prop::sample::Index, byte in 0x20_u8..0x7f) {
            let token = sign(&key("secret"), &claims());
            let mut bytes = token.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(verify(&key("secret"), &changed, NOW).is_err());
        }

        #[test]
        fn no_truncated_token_is_taken(length in 0_usize..200) {
            let token = sign(&key("secret"), &claims());
            prop_assume!(length < token.len());
            prop_assert!(verify(&key("secret"), &token[..length], NOW).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            prop_assert!(verify(&key("secret"), &text, NOW).is_err());
        }
    }
}
