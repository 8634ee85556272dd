//! Requests that take effect once: the `idempotency-key` of every POST.
//!
//! # Invariants
//! - What was done and the answer to it are remembered in one commit.
//! - Two requests with one key in flight at once are one behind the other: both hold the write
//!   lock of what they change. (Messages: the committer takes them in order.)
//! - Only what was done is remembered. A request that was refused may be sent again.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Change, Idempotency, Store, UnixMillis};
use ring::digest;

use super::problems::Problem;
use super::reply::{Reply, store_error};

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 256;
const KEEP_FOR_MS: u32 = 12 * 3_600 * 1_000;
/// What the store remembers at most. An answer beyond it (an event type with large schemas) is not
/// remembered, and a repeat is an ordinary conflict.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The key of a request, with who sent it and where to.
pub(super) struct Key {
    digest: Option<[u8; 16]>,
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

impl Key {
    /// The request with this body.
    pub(super) fn with_body(self, body: &[u8]) -> Once {
        Once(self.digest.map(|key| Idempotency {
            key,
            fingerprint: digest_of(&[body]),
            keep_for_ms: KEEP_FOR_MS,
        }))
    }
}

/// A request that takes effect once, where it has a key.
pub(super) struct Once(Option<Idempotency>);

impl Once {
    /// A request whose repeats are told apart in another way.
    pub(super) const fn without_key() -> Self {
        Self(None)
    }

    /// For the store.
    pub(super) fn into_inner(self) -> Option<Idempotency> {
        self.0
    }

    /// The answer that was given to the same request before. Call under the write lock.
    pub(super) async fn answered(&self, store: &Store) -> Result<Option<Reply>, ApiError> {
        let Some(idempotency) = self.0.clone() else { return Ok(None) };
        match store.remembered(idempotency).await.map_err(store_error)? {
            None => Ok(None),
            Some((_, _, false)) => Err(key_reused()),
            Some((status, body, true)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                Ok(Some(Reply::new(status, body)))
            }
        }
    }

    /// What `changes` do and the answer to it, in one commit.
    pub(super) fn remember(self, mut changes: Vec<Change>, reply: &Reply, at: UnixMillis) -> Vec<Change> {
        if let Some(idempotency) = self.0
            && reply.body().len() <= BODY_BYTES_MAX
        {
            let (status, body) = (reply.status().as_u16(), reply.body().to_vec());
            changes.push(Change::Remember { idempotency, at, status, body });
        }
        changes
    }
}

/// The key was used for something else.
pub(super) fn key_reused() -> ApiError {
    let detail = "The idempotency key was used before with another body";
    ApiError::new(StatusCode::CONFLICT, "idempotency_key_reused", detail)
}

fn digest_of(parts: &[&[u8]]) -> [u8; 16] {
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
