//! An endpoint as it is asked for, whole or in part.

use plimsoll_service::error::ApiError;
use plimsoll_store::{AppId, Endpoint, EndpointId, Secret};

use super::app::{metadata, throttle_rate};
use super::body::{self, Fields, Given};
use super::headers;
use super::secret;
use super::timestamp;
use super::validate;

/// An endpoint as it is asked for.
#[derive(Default)]
pub(super) struct EndpointIn {
    url: String,
    pub(super) uid: Option<String>,
    description: String,
    disabled: bool,
    event_types: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    throttle_rate: Option<u32>,
    metadata: Option<String>,
    secret: Option<Secret>,
    headers: Option<Vec<(String, String)>>,
}

impl EndpointIn {
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let wanted = Self {
            url: fields.required("url", |raw| body::text(raw).and_then(validate::url)),
            uid: fields.field("uid", |raw| body::text(raw).and_then(validate::uid)).value(),
            description: fields
                .field("description", |raw| body::text(raw).and_then(validate::description))
                .value()
                .unwrap_or_default(),
            disabled: fields.field("disabled", body::boolean).value().unwrap_or_default(),
            event_types: event_types(&mut fields).value(),
            channels: channels(&mut fields).value(),
            throttle_rate: throttle_rate(&mut fields).value(),
            metadata: fields.field("metadata", metadata).value(),
            secret: fields
                .field("secret", |raw| body::text(raw).and_then(|text| validate::secret(&text)))
                .value(),
            headers: fields.field("headers", headers::read).value(),
        };
        fields.finish().map(|()| wanted)
    }

    /// A new endpoint.
    pub(super) fn into_endpoint(self, app: AppId, sequence: u64) -> Result<Endpoint, ApiError> {
        let now = timestamp::now();
        let secret = self.secret.map_or_else(secret::generate, Ok)?;
        Ok(Endpoint {
            id: EndpointId::fresh(),
            app,
            sequence,
            uid: self.uid,
            url: self.url,
            description: self.description,
            disabled: self.disabled,
            disabled_by: None,
            event_types: self.event_types,
            channels: self.channels,
            throttle_rate: self.throttle_rate,
            paused_at: None,
            secret,
            old_secrets: Vec::new(),
            headers: self.headers.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_else(|| "{}".to_owned()),
            created_at: now,
            updated_at: now,
        })
    }

    /// The endpoint with everything replaced but its secret, and its headers where none are given:
    /// these have calls of their own.
    pub(super) fn replace(self, endpoint: &mut Endpoint) {
        endpoint.uid = self.uid;
        endpoint.url = self.url;
        endpoint.description = self.description;
        set_disabled(endpoint, self.disabled);
        endpoint.event_types = self.event_types;
        endpoint.channels = self.channels;
        endpoint.throttle_rate = self.throttle_rate;
        endpoint.metadata = self.metadata.unwrap_or_else(|| "{}".to_owned());
        if let Some(headers) = self.headers {
            endpoint.headers = headers;
        }
    }
}

/// Its owner has spoken: what disabled it before does not matter any more, unless it stays so.
const fn set_disabled(endpoint: &mut Endpoint, disabled: bool) {
    if !disabled {
        endpoint.disabled_by = None;
    }
    endpoint.disabled = disabled;
}

/// The event types listened to, by their present or their older name.
fn event_types(fields: &mut Fields<'_>) -> Given<Vec<String>> {
    let read = |raw: &serde_json::value::RawValue| body::texts(raw).and_then(validate::endpoint_event_types);
    fields.field("eventTypes", read).or(|| fields.field("filterTypes", read))
}

fn channels(fields: &mut Fields<'_>) -> Given<Vec<String>> {
    fields.field("channels", |raw| body::texts(raw).and_then(validate::endpoint_channels))
}

/// The fields of a PATCH that are there.
pub(super) struct EndpointPatch {
    url: Option<String>,
    uid: Given<String>,
    description: Option<String>,
    disabled: Option<bool>,
    event_types: Given<Vec<String>>,
    channels: Given<Vec<String>>,
    throttle_rate: Given<u32>,
    metadata: Option<String>,
}

impl EndpointPatch {
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let patch = Self {
            url: fields.not_null("url", |raw| body::text(raw).and_then(validate::url)),
            uid: fields.field("uid", |raw| body::text(raw).and_then(validate::uid)),
            description: fields
                .not_null("description", |raw| body::text(raw).and_then(validate::description)),
            disabled: fields.not_null("disabled", body::boolean),
            event_types: event_types(&mut fields),
            channels: channels(&mut fields),
            throttle_rate: throttle_rate(&mut fields),
            metadata: fields.not_null("metadata", metadata),
        };
        fields.finish().map(|()| patch)
    }

    pub(super) fn apply(self, endpoint: &mut Endpoint) {
        if let Some(url) = self.url {
            endpoint.url = url;
        }
        if let Some(description) = self.description {
            endpoint.description = description;
        }
        if let Some(metadata) = self.metadata {
            endpoint.metadata = metadata;
        }
        if let Some(disabled) = self.disabled {
            set_disabled(endpoint, disabled);
        }
        self.uid.patch(&mut endpoint.uid);
        self.event_types.patch(&mut endpoint.event_types);
        self.channels.patch(&mut endpoint.channels);
        self.throttle_rate.patch(&mut endpoint.throttle_rate);
    }
}
