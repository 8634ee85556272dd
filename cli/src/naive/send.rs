//! One delivery, signed as Standard Webhooks has it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::client::wire::Wire;

/// The deadline of an attempt: what the server has as its default.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where deliveries go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Its path.
    pub(crate) path: String,
    /// Its signing secret, `whsec_…`.
    pub(crate) secret: String,
}

/// What is delivered.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// Sends an event to an endpoint, on a connection of its own.
///
/// # Errors
/// It was not taken.
pub(super) async fn send(endpoint: &Endpoint, Event { id, body }: &Event) -> Result<(), String> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let secret = endpoint.secret.strip_prefix("whsec_").unwrap_or(&endpoint.secret);
    let key = STANDARD.decode(secret).map_err(|error| error.to_string())?;
    let mut signer = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    signer.update(format!("{id}.{unix}.").as_bytes());
    signer.update(body);
    let signature = STANDARD.encode(signer.sign());
    let Endpoint { address, path, .. } = endpoint;
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nwebhook-id: {id}\r\n\
         webhook-timestamp: {unix}\r\nwebhook-signature: v1,{signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    let reply = Wire::new(*address, TIMEOUT).exchange(&request).await.map_err(|error| error.to_string())?;
    if (200..300).contains(&reply.status) { Ok(()) } else { Err(format!("answered {}", reply.status)) }
}
