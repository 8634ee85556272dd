//! What is read, as plain values.

use crate::{
    Death, DeliveryState, Endpoint, EndpointId, Fanout, Id, Message, MessageId, TaskKind, TaskState,
    UnixMillis, WorkKind,
};

/// Which way a list goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// A part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page<K> {
    /// Begin behind this key; `None` is at the beginning.
    pub after: Option<K>,
    /// At most this many; 1 to 10,000.
    pub limit: u32,
    /// Which way.
    pub order: Order,
}

/// An application or endpoint by id or by the caller's own name for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reference<I> {
    /// By id.
    Id(I),
    /// By uid.
    Uid(String),
}

/// A message by id or by the caller's own name for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageRef {
    /// By id.
    Id(MessageId),
    /// By event id.
    EventId(String),
}

/// Which messages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageFilter {
    /// With this channel.
    pub channel: Option<String>,
    /// Of one of these types; empty is all.
    pub event_types: Vec<String>,
    /// Accepted before this.
    pub before: Option<UnixMillis>,
    /// Accepted after this.
    pub after: Option<UnixMillis>,
    /// Whether payloads are wanted.
    pub with_content: bool,
}

/// Which attempts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptFilter {
    /// Succeeded (`true`) or not (`false`).
    pub succeeded: Option<bool>,
    /// With a status of this hundred: 0, 100, 200, … 500. 0 is "no response".
    pub status_class: Option<u16>,
    /// To this endpoint (where the list is of one message).
    pub endpoint: Option<EndpointId>,
    /// Of messages with this channel.
    pub channel: Option<String>,
    /// Of messages of one of these types; empty is all.
    pub event_types: Vec<String>,
    /// Begun before this.
    pub before: Option<UnixMillis>,
    /// Begun after this.
    pub after: Option<UnixMillis>,
    /// Whether responses are wanted.
    pub with_content: bool,
}

/// What a search through a list found. It passes over a bounded number of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sought<T, K> {
    /// What passed the filter.
    pub found: Vec<T>,
    /// The last that was looked at, where the search stopped at its bound: it goes on behind it.
    pub stopped_at: Option<K>,
}

/// Which dead letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeadLetterFilter {
    /// Of this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Dead for this reason.
    pub death: Option<Death>,
    /// Of messages accepted before this, by the time in their ids.
    pub before: Option<UnixMillis>,
    /// Of messages accepted after this, by the time in their ids.
    pub after: Option<UnixMillis>,
}

/// Which background tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TaskFilter {
    /// That stand so.
    pub state: Option<TaskState>,
    /// That do this.
    pub kind: Option<TaskKind>,
}

/// An endpoint of a message and how the delivery stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How it stands.
    pub state: DeliveryState,
}

/// A message whose fan-out is not complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FanoutWork {
    /// How far it is.
    pub fanout: Fanout,
    /// The message with its payload.
    pub message: Message,
}

/// A key that has due work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DueKey {
    /// What kind.
    pub kind: WorkKind,
    /// Whose.
    pub tenant: crate::AppId,
    /// The key: for deliveries, the endpoint.
    pub key: Id,
    /// When its earliest work is due.
    pub due_at: UnixMillis,
}

/// What a look for messages came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Messages that were never sent to the endpoint, though it wants them, oldest first.
    pub messages: Vec<MessageId>,
    /// Messages up to this one were looked at; `None` where none is left.
    pub cursor: Option<MessageId>,
}
