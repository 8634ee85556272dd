//! While the disk is low nothing grows: what is new is refused, and what would be larger than it was.
//! What frees, or costs nothing, goes on: deleting, disabling, pausing, a shorter text.

use plimsoll_service::error::ApiError;
use plimsoll_store::{App, Endpoint, EventType, Store};

use super::reply::store_error;

/// What is stored, and may be replaced by another version of itself.
pub(super) trait Stored {
    /// Bytes of all in it that has no fixed length.
    fn bytes(&self) -> usize;
}

impl Stored for App {
    fn bytes(&self) -> usize {
        text(self.uid.as_ref()) + self.name.len() + self.metadata.len()
    }
}

impl Stored for Endpoint {
    fn bytes(&self) -> usize {
        let lists = [&self.event_types, &self.channels].into_iter().flatten().flatten();
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let old: usize = self.old_secrets.iter().map(|old| old.secret.0.len()).sum();
        let texts = self.url.len() + self.description.len() + self.metadata.len() + text(self.uid.as_ref());
        texts + lists.map(String::len).sum::<usize>() + headers + self.secret.0.len() + old
    }
}

impl Stored for EventType {
    fn bytes(&self) -> usize {
        let texts = text(self.feature_flag.as_ref()) + text(self.schemas.as_ref());
        self.name.len() + self.description.len() + texts
    }
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

/// Whether there is room for `after` in the place of `before`, or of nothing.
pub(super) fn room<T: Stored>(store: &Store, before: Option<&T>, after: &T) -> Result<(), ApiError> {
    match before {
        Some(before) if after.bytes() <= before.bytes() => Ok(()),
        _ => store.room().map_err(store_error),
    }
}
