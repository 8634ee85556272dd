//! One event to all endpoints.

use std::time::Duration;

use tokio::time::sleep;

use super::send::{Endpoint, Event, send};

/// Sends the event to each endpoint, and again to those that do not take it.
#[expect(clippy::disallowed_methods, reason = "tasks without a bound are what this shows")]
pub(super) fn dispatch(endpoints: &[Endpoint], event: &Event) {
    for endpoint in endpoints {
        let (endpoint, event) = (endpoint.clone(), event.clone());
        // plimsoll: allow(spawn-in-loop) the bad example: tasks without a bound are what it shows
        tokio::spawn(async move {
            for attempt in 0..5 {
                if send(&endpoint, &event).await.is_ok() {
                    return;
                }
                sleep(Duration::from_secs(1 << attempt)).await;
            }
        });
    }
}
