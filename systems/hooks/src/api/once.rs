//! Requests that take effect once: the `idempotency-key` of every POST.
//!
//! # Invariants
//! - What was done and the answer to it are remembered in one commit; but for a replay of dead
//!   letters, which is answered by what came of it.
//! - Two requests with one key in flight at once are one behind the other: both hold the write
//!   lock of what they change. (Messages: the committer takes them in order.)
//! - Only what was done is remembered. A request that was refused may be sent again.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use plimsoll_service::error::ApiError;
pub(super) use plimsoll_service::request::key::reused as key_reused;
use plimsoll_service::request::key::{self, KEEP_FOR_MS, digest_of};
use plimsoll_store::{Change, Idempotency, Store, UnixMillis};

use super::reply::{Reply, store_error};

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
        let key::Key { digest } = key::Key::from_request_parts(parts, state).await?;
        Ok(Self { digest })
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

    /// What `changes` do and the answer to it, in one commit: the answer only where all of them were
    /// done.
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
