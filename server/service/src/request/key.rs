//! The `idempotency-key` of a request, by which a repeat of it is recognised.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use ring::digest;

use super::problems::Problem;
use crate::auth::Caller;
use crate::error::ApiError;

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 256;

/// For how long a repeat of a request is recognised.
pub const KEEP_FOR_MS: u32 = 12 * 3_600 * 1_000;

/// The key of a request, with who sent it and where to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// A digest of all three; absent where the request has no key.
    pub digest: Option<[u8; 16]>,
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Some(key) = parts.headers.get(HEADER) else { return Ok(Self { digest: None }) };
        let key = key.as_bytes();
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.iter().all(u8::is_ascii_graphic) {
            let problem = Problem::value(format!("must have 1 to {KEY_BYTES_MAX} visible characters"));
            return Err(problem.at(&["header", HEADER]));
        }
        let key = key.to_owned();
        let caller = Caller::from_request_parts(parts, state).await?;
        let path = parts.uri.path().trim_end_matches('/');
        // No part can hold a zero, so that two requests do not run into one another.
        let digest = digest_of(&[caller.org.as_bytes(), b"\0", path.as_bytes(), b"\0", &key]);
        Ok(Self { digest: Some(digest) })
    }
}

/// The key was used for something else.
#[must_use]
pub fn reused() -> ApiError {
    let detail = "The idempotency key was used before with another body";
    ApiError::new(StatusCode::CONFLICT, "idempotency_key_reused", detail)
}

/// By what requests, and their bodies, are told apart.
#[must_use]
pub fn digest_of(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut half = [0; 16];
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn key(org: &str, path: &str, key: Option<&[u8]>) -> Result<Option<[u8; 16]>, ApiError> {
        let mut request = Request::post(path).extension(Caller { org: org.into() });
        if let Some(key) = key {
            request = request.header(HEADER, key);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        Key::from_request_parts(&mut parts, &()).await.map(|key| key.digest)
    }

    #[tokio::test]
    async fn one_key_is_another_for_another_sender_or_path() {
        let first = key("org_a", "/x", Some(b"k")).await.unwrap();
        assert_eq!(first, key("org_a", "/x/", Some(b"k")).await.unwrap());
        assert_ne!(first, key("org_b", "/x", Some(b"k")).await.unwrap());
        assert_ne!(first, key("org_a", "/y", Some(b"k")).await.unwrap());
        assert_ne!(first, key("org_a", "/x", Some(b"l")).await.unwrap());
        assert_eq!(key("org_a", "/x", None).await.unwrap(), None);
    }

    #[tokio::test]
    async fn keys_are_bounded_and_visible() {
        let long = [b'k'; KEY_BYTES_MAX + 1];
        assert!(key("org_a", "/x", Some(&long[1..])).await.is_ok());
        for bad in [&b""[..], b"a b", b"\xe4", &long] {
            assert_eq!(key("org_a", "/x", Some(bad)).await.unwrap_err().status(), 422, "{bad:?}");
        }
    }
}
