//! The signing secret of an endpoint.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{Endpoint, OldSecret, Secret, UnixMillis};
use ring::rand::{SecureRandom, SystemRandom};

use super::body::{self, Body, Fields};
use super::endpoint;
use super::find::{self, Params};
use super::once::Key;
use super::problems::Problem;
use super::reply::Reply;
use super::timestamp;
use super::validate;
use crate::core::Core;

const GENERATED_BYTES: usize = 24;
const GRACE_SECONDS_DEFAULT: i64 = 86_400;
const GRACE_SECONDS_MAX: i64 = 7 * 86_400;
/// Each of them signs every delivery.
const OLD_SECRETS_MAX: usize = 10;

/// A fresh secret.
pub(super) fn generate() -> Result<Secret, ApiError> {
    let mut bytes = vec![0; GENERATED_BYTES];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(Secret(bytes)),
        Err(_) => {
            tracing::error!("the system gives no random bytes");
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "No secret could be made"))
        }
    }
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let target = find::endpoint(&*find::app(&core, &caller, &app)?, &endpoint)?;
    let key = validate::secret_text(&target.endpoint.secret);
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "key": key })))
}

/// A rotation as it is asked for.
struct Rotation {
    key: Option<Secret>,
    grace_ms: i64,
}

impl Rotation {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        // Some clients send no body where every field has a default.
        let mut fields = Fields::of_body(if body.is_empty() { b"{}" } else { body })?;
        let key = fields.field("key", |raw| body::text(raw).and_then(|text| validate::secret(&text)));
        let grace = fields.field("gracePeriodSeconds", |raw| {
            body::integer(raw).and_then(|seconds| match seconds {
                0..=GRACE_SECONDS_MAX => Ok(seconds),
                _ => Err(Problem::value(format!("must be 0 to {GRACE_SECONDS_MAX} seconds, is {seconds}"))),
            })
        });
        fields.finish()?;
        Ok(Self { key: key.value(), grace_ms: grace.value().unwrap_or(GRACE_SECONDS_DEFAULT) * 1_000 })
    }
}

/// Puts the secret in force, and the one before it among the old, which sign until they expire.
fn rotate_in(endpoint: &mut Endpoint, key: Secret, grace_ms: i64, now: UnixMillis) -> Result<(), ApiError> {
    if key == endpoint.secret {
        return Err(ApiError::conflict("This secret is in force already"));
    }
    endpoint.old_secrets.retain(|old| old.expires_at > now && old.secret != key);
    let before = std::mem::replace(&mut endpoint.secret, key);
    if grace_ms > 0 {
        endpoint.old_secrets.insert(0, OldSecret { secret: before, expires_at: now + grace_ms });
    }
    // Dropping one of them instead would break a promise that was made to a receiver.
    if endpoint.old_secrets.len() > OLD_SECRETS_MAX {
        let detail = format!("There are {OLD_SECRETS_MAX} old secrets that have not expired yet");
        return Err(ApiError::new(StatusCode::CONFLICT, "too_many_secrets", detail));
    }
    Ok(())
}

pub(super) async fn rotate(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, path)): Params<(String, String)>,
    key: Key,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let wanted = Rotation::read(&body)?;
    let once = key.with_body(&body);
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        if let Some(reply) = once.answered(&core.store).await? {
            return Ok(reply);
        }
        let mut endpoint = find::endpoint(&app, &path)?.endpoint.clone();
        let secret = wanted.key.map_or_else(generate, Ok)?;
        // The interface's document says 204; its SDKs read the new secret from the body.
        let reply =
            Reply::json(StatusCode::OK, &serde_json::json!({ "key": validate::secret_text(&secret) }));
        endpoint.updated_at = timestamp::now();
        let now = endpoint.updated_at;
        rotate_in(&mut endpoint, secret, wanted.grace_ms, now)?;
        endpoint::store(&core, &app, endpoint, once, &reply).await.map(|()| reply)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::test_endpoint;

    fn secret(byte: u8) -> Secret {
        Secret(vec![byte; 24])
    }

    #[test]
    fn the_secret_before_signs_until_its_grace_is_over() {
        let mut endpoint = test_endpoint("http://a/");
        let first = endpoint.secret.clone();
        rotate_in(&mut endpoint, secret(2), 1_000, 10).unwrap();
        assert_eq!(endpoint.secret, secret(2));
        assert_eq!(endpoint.old_secrets, [OldSecret { secret: first, expires_at: 1_010 }]);
        rotate_in(&mut endpoint, secret(3), 1_000, 1_010).unwrap();
        assert_eq!(endpoint.old_secrets, [OldSecret { secret: secret(2), expires_at: 2_010 }]);
        rotate_in(&mut endpoint, secret(4), 0, 1_011).unwrap();
        assert_eq!(endpoint.old_secrets.len(), 1, "without grace it does not sign any more");
    }

    #[test]
    fn a_secret_that_comes_back_is_not_old_any_more() {
        let mut endpoint = test_endpoint("http://a/");
        let first = endpoint.secret.clone();
        rotate_in(&mut endpoint, secret(2), 1_000, 10).unwrap();
        rotate_in(&mut endpoint, first.clone(), 1_000, 20).unwrap();
        assert_eq!(endpoint.secret, first);
        assert_eq!(endpoint.old_secrets.len(), 1);
        assert_eq!(rotate_in(&mut endpoint, first, 1_000, 30).unwrap_err().status(), 409);
    }

    #[test]
    fn old_secrets_are_bounded_and_none_is_dropped_early() {
        let mut endpoint = test_endpoint("http://a/");
        for byte in 0..10 {
            rotate_in(&mut endpoint, secret(100 + byte), 1_000, 10).unwrap();
        }
        let error = rotate_in(&mut endpoint.clone(), secret(200), 1_000, 10).unwrap_err();
        assert_eq!(error.code(), "too_many_secrets");
        rotate_in(&mut endpoint, secret(200), 1_000, 1_010).unwrap();
    }

    #[test]
    fn rotations_have_defaults_and_bounds() {
        assert_eq!(Rotation::read(b"").unwrap().grace_ms, 86_400_000);
        assert_eq!(Rotation::read(br#"{"key":null,"gracePeriodSeconds":0}"#).unwrap().grace_ms, 0);
        assert!(Rotation::read(br#"{"gracePeriodSeconds":604801}"#).is_err());
        assert!(Rotation::read(br#"{"gracePeriodSeconds":-1}"#).is_err());
        assert!(Rotation::read(br#"{"key":"short"}"#).is_err());
    }

    #[test]
    fn generated_secrets_differ() {
        assert_ne!(generate().unwrap(), generate().unwrap());
    }
}
