//! What the parts of a path stand for.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use plimsoll_store::{AppId, EndpointId, Id, Message, MessageRef, Org};
use ring::digest;
use serde::de::DeserializeOwned;

use super::reply::{not_found, store_error};
use crate::core::Core;
use crate::routing::{AppRoute, Target};

/// The variable parts of a path, decoded.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(params)| Self(params)).map_err(|_| not_found())
    }
}

/// The application of the caller with this id or uid.
pub(super) fn app(core: &Core, caller: &Caller, id_or_uid: &str) -> Result<Arc<AppRoute>, ApiError> {
    core.routing.find(&caller.org, id_or_uid).ok_or_else(not_found)
}

/// The endpoint of the application with this id or uid.
pub(super) fn endpoint(app: &AppRoute, id_or_uid: &str) -> Result<Arc<Target>, ApiError> {
    let by_id = id_or_uid.parse().ok().and_then(|id: EndpointId| app.target(id));
    by_id.or_else(|| endpoint_by_uid(app, id_or_uid)).ok_or_else(not_found)
}

/// The endpoint of the application with this uid.
pub(super) fn endpoint_by_uid(app: &AppRoute, uid: &str) -> Option<Arc<Target>> {
    app.targets().iter().find(|target| target.endpoint.uid.as_deref() == Some(uid)).cloned()
}

/// The message of the application with this id or event id.
pub(super) async fn message(
    core: &Core,
    app: AppId,
    id_or_event_id: &str,
    with_content: bool,
) -> Result<Message, ApiError> {
    if let Ok(id) = id_or_event_id.parse() {
        let found = core.store.message(app, MessageRef::Id(id), with_content).await.map_err(store_error)?;
        if let Some(message) = found {
            return Ok(message);
        }
    }
    let event_id = MessageRef::EventId(id_or_event_id.to_owned());
    core.store.message(app, event_id, with_content).await.map_err(store_error)?.ok_or_else(not_found)
}

/// Stands for an organisation where an application is asked for: changes to the list of its
/// applications and to its event types hold this one's write lock and go to its shard.
pub(super) fn anchor(org: &Org) -> AppId {
    let digest = digest::digest(&digest::SHA256, org.as_bytes());
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&digest.as_ref()[..20]);
    AppId(Id::from_bytes(bytes))
}
