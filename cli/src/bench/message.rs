//! A request that posts one message or one job, written once and changed in place.

use std::net::SocketAddr;

/// Where a number comes in the body: the spaces before it are as good as none in JSON, and the length
/// of the body is the same for all.
pub(super) const BLANK: &str = "                ";
/// What a payload carries besides its numbers: with them it is about 300 bytes, a usual event.
pub(super) const NOTE: &str = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt \
                    ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation.";

/// Where a message is sent, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Address<'a> {
    /// Where the API listens.
    pub(super) to: SocketAddr,
    /// The bearer token.
    pub(super) token: &'a str,
    /// The id of the application.
    pub(super) app: &'a str,
    /// The tenant that the application is, for the receiver.
    pub(super) tenant: usize,
    /// The run that the message belongs to, for the receiver.
    pub(super) run: u32,
}

/// What is posted, and where. In the body `event` and `sent_at` are [`BLANK`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Post<'a> {
    /// Where the API listens.
    pub(super) to: SocketAddr,
    /// The bearer token.
    pub(super) token: &'a str,
    /// The path.
    pub(super) path: &'a str,
    /// The body, as JSON.
    pub(super) body: &'a str,
}

/// The whole request, head and body.
#[derive(Clone, Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    key: usize,
    event: usize,
    sent_at: usize,
}

impl Message {
    /// A message to this address; its numbers and its key are still to be [`set`](Self::set).
    pub(super) fn new(address: &Address<'_>) -> Self {
        let Address { to, token, app, tenant, run } = *address;
        let body = format!(
            r#"{{"eventType":"demo.event","payload":{{"run":{run},"tenant":{tenant},"event":{BLANK},"sent_at":{BLANK},"note":"{NOTE}"}}}}"#
        );
        Self::of(&Post { to, token, path: &format!("/api/v1/app/{app}/msg"), body: &body })
    }

    /// What is posted, with the headers of the public SDKs; its numbers and its key are still to be
    /// [`set`](Self::set).
    pub(super) fn of(post: &Post<'_>) -> Self {
        let Post { to, token, path, body } = post;
        let key = key(0);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\n\
             user-agent: plimsoll-bench\r\naccept: application/json\r\ncontent-type: application/json\r\n\
             idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let at = |text: &str, what: &str| text.find(what).map_or(0, |at| at + what.len());
        Self {
            key: at(&head, "idempotency-key: "),
            event: head.len() + at(body, r#""event":"#),
            sent_at: head.len() + at(body, r#""sent_at":"#),
            bytes: (head + body).into_bytes(),
        }
    }

    /// Makes it this event's, sent then, under a key that no other message has.
    pub(super) fn set(&mut self, event: u64, sent_at: u64, random: u128) {
        let key = key(random);
        self.bytes[self.key..self.key + key.len()].copy_from_slice(key.as_bytes());
        for (at, number) in [(self.event, event), (self.sent_at, sent_at)] {
            let text = format!("{number:>width$}", width = BLANK.len());
            self.bytes[at..at + BLANK.len()].copy_from_slice(&text.as_bytes()[..BLANK.len()]);
        }
    }

    /// The request.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An idempotency key as the SDKs make it: `auto_` and a random UUID.
fn key(random: u128) -> String {
    let hex = format!("{random:032x}");
    format!("auto_{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_length_and_stays_json_whatever_its_numbers() {
        let to = "127.0.0.1:80".parse().unwrap();
        let mut message = Message::new(&Address { to, token: "secret", app: "app_1", tenant: 3, run: 7 });
        let length = message.bytes().len();
        for (event, sent_at) in [(0, 0), (1_234_567, 9_999_999_999_999_999)] {
            message.set(event, sent_at, u128::MAX - u128::from(event));
            let text = std::str::from_utf8(message.bytes()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(text.len(), length);
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["payload"]["event"], event);
            assert_eq!(body["payload"]["sent_at"], sent_at);
            assert_eq!((&body["payload"]["run"], &body["payload"]["tenant"]), (&7.into(), &3.into()));
        }
        let text = String::from_utf8_lossy(message.bytes());
        assert!(text.contains("\r\nidempotency-key: auto_ffffffff-ffff-ffff-ffff-"), "{text}");
    }
}
