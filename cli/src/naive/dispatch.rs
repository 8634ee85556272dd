//! One event to all endpoints.

use std::time::Duration;

use super::send::{Endpoint, send};

/// Sends the event to each endpoint, and again to those that do not take it.
#[expect(clippy::disallowed_methods, reason = "tasks without a bound are what this shows")]
pub(super) fn dispatch(endpoints: &[Endpoint], id: &str, event: &[u8]) {
    for endpoint in endpoints {
        let (endpoint, id, event) = (endpoint.clone(), id.to_owned(), event.to_vec());
        tokio::spawn(async move {
            for attempt in 0..5 {
                if send(&endpoint, &id, &event).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
            }
        });
    }
}
