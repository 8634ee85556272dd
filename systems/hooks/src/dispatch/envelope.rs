//! A message as it waits in memory.

use bytes::Bytes;
use plimsoll_store::{AppId, Message, MessageId, Priority, UnixMillis};

/// What is kept around a payload, roughly.
const AROUND: usize = 512;

/// A message with its payload, shared by all of its deliveries.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) id: MessageId,
    pub(crate) app: AppId,
    pub(crate) event_type: String,
    pub(crate) channels: Option<Vec<String>>,
    pub(crate) payload: Bytes,
    /// When it was accepted, or was to be delivered if that was later.
    pub(crate) accepted_at: UnixMillis,
    /// Of its first tries; what is due has its own.
    pub(crate) priority: Priority,
}

impl Envelope {
    pub(crate) fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// What it counts for against the bounds in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.payload.len() + AROUND
    }
}

impl From<Message> for Envelope {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            app: message.app,
            event_type: message.event_type,
            channels: message.channels,
            payload: message.payload.unwrap_or_default().into(),
            accepted_at: message.deliver_at.map_or(message.accepted_at, |at| at.max(message.accepted_at)),
            priority: message.priority,
        }
    }
}
