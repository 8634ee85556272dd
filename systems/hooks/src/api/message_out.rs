//! A message as it is answered.
//!
//! Written by hand: the payload goes out as the exact bytes that came in, and is never parsed again.

use std::io::Write as _;

use plimsoll_store::{Message, MessageId, Priority, UnixMillis};

use super::reply::write_json;
use super::timestamp::Timestamp;

/// What stands for the payload where it was not asked for.
const NOT_ASKED_FOR: &[u8] = b"{}";
/// What stands for the payload where it is kept no more.
const EXPIRED: &[u8] = br#"{"expired":true}"#;
/// The rest of the object around the payload, for the usual lengths of the ids.
const AROUND_BYTES: usize = 256;

/// A message in parts.
#[derive(Clone, Copy)]
pub(super) struct MessageOut<'a> {
    pub(super) id: MessageId,
    pub(super) event_id: Option<&'a str>,
    pub(super) event_type: &'a str,
    pub(super) channels: Option<&'a [String]>,
    /// `None` where it was not asked for.
    pub(super) payload: Option<&'a [u8]>,
    pub(super) accepted_at: UnixMillis,
    deliver_at: Option<UnixMillis>,
    canceled_at: Option<UnixMillis>,
    priority: Priority,
}

impl<'a> MessageOut<'a> {
    /// A stored message.
    pub(super) fn of(message: &'a Message, with_content: bool) -> Self {
        let payload = message.payload.as_deref().unwrap_or(EXPIRED);
        Self {
            id: message.id,
            event_id: message.event_id.as_deref(),
            event_type: &message.event_type,
            channels: message.channels.as_deref(),
            payload: with_content.then_some(payload),
            accepted_at: message.accepted_at,
            deliver_at: message.deliver_at,
            canceled_at: message.canceled_at,
            priority: message.priority,
        }
    }

    /// Its JSON, in one buffer.
    pub(super) fn to_json(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(AROUND_BYTES + self.payload.map_or(0, <[u8]>::len));
        self.write(&mut out);
        out
    }

    /// Writes its JSON behind what is there.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (name, at) in [("canceledAt", self.canceled_at), ("deliverAt", self.deliver_at)] {
            if let Some(at) = at {
                // Writing to memory cannot fail.
                let _ = write!(out, "\"{name}\":\"");
                out.extend_from_slice(&Timestamp(at).text());
                out.extend_from_slice(b"\",");
            }
        }
        if let Some(priority) = priority_text(self.priority) {
            let _ = write!(out, "\"priority\":\"{priority}\",");
        }
        out.extend_from_slice(b"\"channels\":");
        write_json(out, &self.channels);
        out.extend_from_slice(b",\"eventId\":");
        write_json(out, &self.event_id);
        out.extend_from_slice(b",\"eventType\":");
        write_json(out, &self.event_type);
        // Writing to memory cannot fail.
        let _ = write!(out, ",\"id\":\"{}\",\"payload\":", self.id);
        out.extend_from_slice(self.payload.unwrap_or(NOT_ASKED_FOR));
        out.extend_from_slice(b",\"timestamp\":\"");
        out.extend_from_slice(&Timestamp(self.accepted_at).text());
        out.extend_from_slice(b"\"}");
    }
}

/// A priority that is not the usual one.
const fn priority_text(priority: Priority) -> Option<&'static str> {
    match priority {
        Priority::High => Some("high"),
        Priority::Normal => None,
        Priority::Low => Some("low"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_store::AppId;
    use serde_json::{Value, json};

    use super::*;

    fn message(payload: Option<&str>) -> Message {
        Message {
            id: MessageId::fresh(),
            app: AppId::fresh(),
            event_id: Some("e-1".into()),
            event_type: "user.created".into(),
            channels: Some(vec!["a".into(), "b".into()]),
            payload: payload.map(|payload| payload.as_bytes().to_vec()),
            accepted_at: 1_767_323_045_678,
            deliver_at: None,
            canceled_at: None,
            priority: Priority::Normal,
        }
    }

    #[test]
    fn the_payload_goes_out_as_it_came_in() {
        let message = message(Some("{ \"n\": 1.0e+2,\"n\":2 }"));
        let json = MessageOut::of(&message, true).to_json();
        let text = String::from_utf8(json.clone()).unwrap();
        assert!(text.contains("\"payload\":{ \"n\": 1.0e+2,\"n\":2 },"), "{text}");
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["id"], message.id.to_string());
        assert_eq!(value["timestamp"], "2026-01-02T03:04:05.678Z");
        assert_eq!(value["channels"], json!(["a", "b"]));
        assert_eq!(value["eventId"], "e-1");
        assert_eq!(value["eventType"], "user.created");
    }

    #[test]
    fn what_is_unusual_about_a_message_is_told_and_nothing_else() {
        let usual = message(None);
        let json = |message: &Message| -> Value {
            serde_json::from_slice(&MessageOut::of(message, false).to_json()).unwrap()
        };
        let fields = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(json(&usual)), ["channels", "eventId", "eventType", "id", "payload", "timestamp"]);
        let later = Message { deliver_at: Some(1), canceled_at: Some(2), priority: Priority::High, ..usual };
        let later = json(&later);
        assert_eq!(later["deliverAt"], "1970-01-01T00:00:00.001Z");
        assert_eq!(
            (&later["canceledAt"], &later["priority"]),
            (&json!("1970-01-01T00:00:00.002Z"), &json!("high"))
        );
    }

    #[test]
    fn without_content_the_payload_is_empty_and_when_it_is_gone_it_says_so() {
        let payload = |message: &Message, with_content| -> Value {
            serde_json::from_slice::<Value>(&MessageOut::of(message, with_content).to_json()).unwrap()["payload"]
                .clone()
        };
        assert_eq!(payload(&message(Some("{\"a\":1}")), false), json!({}));
        assert_eq!(payload(&message(None), true), json!({"expired": true}));
        assert_eq!(payload(&message(None), false), json!({}));
    }
}
