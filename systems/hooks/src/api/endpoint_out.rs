//! An endpoint as it is answered, by itself or as a destination of a message.

use plimsoll_store::{DeliveryState, DisabledBy, Endpoint, EndpointId, MessageEndpoint};
use serde::Serialize;
use serde_json::value::RawValue;

use super::shape::{Text, stored_json};
use super::timestamp::Timestamp;

/// How a delivery or an attempt stands: its number and its name.
pub(super) const SUCCESS: (u8, &str) = (0, "success");
pub(super) const PENDING: (u8, &str) = (1, "pending");
pub(super) const FAIL: (u8, &str) = (2, "fail");
pub(super) const SENDING: (u8, &str) = (3, "sending");

/// Fields under older names (`filterTypes`, `rateLimit`, `version`) stand beside the present ones:
/// older clients cannot read an answer without them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOut<'a> {
    channels: Option<&'a [String]>,
    created_at: Timestamp,
    description: &'a str,
    disabled: bool,
    /// What disabled it, where that was not its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_by: Option<&'static str>,
    event_types: Option<&'a [String]>,
    filter_types: Option<&'a [String]>,
    id: Text<EndpointId>,
    metadata: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_at: Option<Timestamp>,
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<&'static str>,
    throttle_rate: Option<u32>,
    uid: Option<&'a str>,
    updated_at: Timestamp,
    url: &'a str,
    version: u8,
}

impl<'a> From<&'a Endpoint> for EndpointOut<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        Self {
            channels: endpoint.channels.as_deref(),
            created_at: Timestamp(endpoint.created_at),
            description: &endpoint.description,
            disabled: endpoint.disabled,
            disabled_by: endpoint.disabled_by.filter(|_| endpoint.disabled).map(disabled_by),
            event_types: endpoint.event_types.as_deref(),
            filter_types: endpoint.event_types.as_deref(),
            id: Text(endpoint.id),
            metadata: stored_json(&endpoint.metadata),
            next_attempt: None,
            paused_at: endpoint.paused_at.map(Timestamp),
            rate_limit: endpoint.throttle_rate,
            status: None,
            status_text: None,
            throttle_rate: endpoint.throttle_rate,
            uid: endpoint.uid.as_deref(),
            updated_at: Timestamp(endpoint.updated_at),
            url: &endpoint.url,
            version: 1,
        }
    }
}

impl<'a> From<&'a MessageEndpoint> for EndpointOut<'a> {
    fn from(destination: &'a MessageEndpoint) -> Self {
        let (next_attempt, (status, text)) = match destination.state {
            DeliveryState::Succeeded => (None, SUCCESS),
            DeliveryState::Pending { due_at } => (Some(Timestamp(due_at)), PENDING),
            DeliveryState::Sending => (None, SENDING),
            DeliveryState::Failed => (None, FAIL),
        };
        let endpoint = Self::from(&destination.endpoint);
        Self { next_attempt, status: Some(status), status_text: Some(text), ..endpoint }
    }
}

/// What disabled an endpoint, in a word.
pub(super) const fn disabled_by(by: DisabledBy) -> &'static str {
    match by {
        DisabledBy::Failing => "failing",
        DisabledBy::Gone => "gone",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routing::test_endpoint;

    #[test]
    fn a_destination_is_an_endpoint_and_how_it_stands() {
        let endpoint = Endpoint { throttle_rate: Some(7), ..test_endpoint("http://a/") };
        let plain = serde_json::to_value(EndpointOut::from(&endpoint)).unwrap();
        assert_eq!(plain["throttleRate"], 7);
        assert_eq!(plain["metadata"], json!({}));
        assert_eq!(plain["createdAt"], "1970-01-01T00:00:00.000Z");
        assert!(plain.get("status").is_none());
        for (state, status, text, next) in [
            (DeliveryState::Succeeded, 0, "success", None),
            (DeliveryState::Pending { due_at: 1 }, 1, "pending", Some("1970-01-01T00:00:00.001Z")),
            (DeliveryState::Failed, 2, "fail", None),
            (DeliveryState::Sending, 3, "sending", None),
        ] {
            let destination = MessageEndpoint { endpoint: endpoint.clone(), state };
            let out = serde_json::to_value(EndpointOut::from(&destination)).unwrap();
            assert_eq!((&out["status"], &out["statusText"]), (&json!(status), &json!(text)));
            assert_eq!(out.get("nextAttempt").and_then(|at| at.as_str()), next);
        }
    }
}
