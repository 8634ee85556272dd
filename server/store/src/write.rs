//! What is written, as plain values.

use crate::{
    App, AppId, AttemptId, AttemptState, DueWork, Endpoint, EndpointId, EventType, Message, MessageId, Org,
    Task, TaskId, Trigger, UnixMillis, WorkId,
};

/// The right to write to one shard: what every commit carries.
///
/// SQLite has one shard, held by the lock on the data directory; its epoch grows by one each time
/// the directory is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    /// Which shard.
    pub shard: u32,
    /// The how-manieth holder of it this is.
    pub epoch: u64,
}

/// A request that must take effect once, however often it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    /// A digest of who sent it, where to, and the key it carried.
    pub key: [u8; 16],
    /// A digest of its body: the same key with another body is a conflict, not a repeat.
    pub fingerprint: [u8; 16],
    /// For how long a repeat is recognised (kept at least this long; at most 24 hours).
    pub keep_for_ms: u32,
}

/// A message to accept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMessage {
    /// The message; its payload is present.
    pub message: Message,
    /// Who owns the application.
    pub org: Org,
    /// The highest endpoint sequence of the application now; 0 where it has no endpoints, and then
    /// no fan-out row is written. A message for later gets its fan-out row when it is released.
    pub ceiling: u64,
    /// How many deliveries it makes, as far as is known now: what it adds to the application's
    /// backlog. At most `ceiling`, where it is not for later.
    pub deliveries: u64,
    /// How many deliveries of the application may be pending with it; a message alone is never too
    /// much.
    pub backlog_max: u64,
    /// The request's idempotency key.
    pub idempotency: Option<Idempotency>,
    /// Days to keep the payload.
    pub retention_days: u16,
}

impl NewMessage {
    /// Whether it would make the application's backlog larger than it may be.
    #[must_use]
    pub const fn is_too_much_beside(&self, pending: u64) -> bool {
        pending > 0 && pending.saturating_add(self.deliveries) > self.backlog_max
    }
}

/// What became of a message that was to be accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// It is durable.
    Stored,
    /// The same request was accepted before, as this message.
    Repeat(Box<Message>),
    /// The idempotency key was used with another body.
    KeyReused,
    /// The organisation has a message with this event id, less than a day old.
    EventIdTaken,
    /// The application has as many deliveries pending as it may.
    Full {
        /// How many that is, without the message.
        pending: u64,
    },
    /// The application does not exist (any more).
    NoApp,
}

/// An attempt that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Who owns the application.
    pub org: Org,
    /// The application.
    pub app: AppId,
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// From 1. Where another attempt has the number already (a resend by hand beside the schedule),
    /// the store takes the next free one; an attempt with the same id is not stored twice.
    pub number: u32,
    /// When it began.
    pub at: UnixMillis,
    /// How long it took.
    pub duration_ms: u32,
    /// The HTTP status; 0 where there was no complete response head.
    pub status_code: u16,
    /// The beginning of the response body, or what went wrong.
    pub response: Vec<u8>,
    /// The URL it went to.
    pub url: std::sync::Arc<str>,
    /// Why it was made: with the message and endpoint, the due work that it settles.
    pub trigger: Trigger,
    /// The number of the priority of what follows.
    pub priority: u8,
    /// What follows.
    pub next: Next,
}

/// What follows an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing: its due work goes. The state says why.
    End(AttemptState),
    /// Another attempt: its due work is inserted or moved there.
    Retry {
        /// When.
        due_at: UnixMillis,
    },
}

/// A step in the fan-out, in the order it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// An attempt ended.
    Attempted(Box<NewAttempt>),
    /// A first try was put off before it began: it becomes due work.
    Deferred(DueWork),
    /// Due work is not to be done (any more): the endpoint is gone or disabled.
    Dropped(WorkId),
    /// Endpoints of the message up to `frontier` are settled.
    Advanced {
        /// The application.
        app: AppId,
        /// The message.
        message: MessageId,
        /// Never moves back.
        frontier: u64,
    },
    /// Every endpoint is settled: the fan-out row goes.
    Finished {
        /// The application.
        app: AppId,
        /// The message.
        message: MessageId,
    },
}

/// A resend by hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResendRequest {
    /// Who owns the application.
    pub org: Org,
    /// The application.
    pub app: AppId,
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Now.
    pub at: UnixMillis,
}

/// A change to what is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Inserts the application, or replaces the one with its id.
    PutApp(App),
    /// Buries the application and all that is in it; it is purged in the background.
    DeleteApp {
        /// Which.
        app: AppId,
        /// When.
        at: UnixMillis,
    },
    /// Inserts the endpoint, or replaces the one with its id.
    PutEndpoint(Box<Endpoint>),
    /// Buries the endpoint; its due work is purged in the background.
    DeleteEndpoint {
        /// The application.
        app: AppId,
        /// Which.
        endpoint: EndpointId,
        /// When.
        at: UnixMillis,
    },
    /// Inserts the event type, or replaces the one with its name.
    PutEventType(EventType),
    /// Removes the event type.
    DeleteEventType {
        /// Who owns it.
        org: Org,
        /// Which.
        name: String,
    },
    /// Makes due, now, one attempt by hand.
    Resend(ResendRequest),
    /// As [`Change::Resend`], of a dead letter, behind what is sent for the first time;
    /// [`Changed::Missing`] where it is none (any more).
    Revive(ResendRequest),
    /// The time of a message for later has come: it gets its fan-out row.
    Release {
        /// The application.
        app: AppId,
        /// Which.
        message: MessageId,
        /// As of [`NewMessage::ceiling`], now.
        ceiling: u64,
        /// As of [`NewMessage::deliveries`], now.
        deliveries: u64,
    },
    /// Calls a message off that waits for its time; [`Changed::Missing`] where it does not wait
    /// (any more).
    Cancel {
        /// The application.
        app: AppId,
        /// Which.
        message: MessageId,
        /// When.
        at: UnixMillis,
    },
    /// Forgets the content of a message: it is not sent any more.
    Expunge {
        /// The application.
        app: AppId,
        /// Which.
        message: MessageId,
    },
    /// Begins a background task; [`Changed::Busy`] while its endpoint has another one.
    StartTask(Box<Task>),
    /// Does a step of a background task.
    StepTask {
        /// Which.
        task: TaskId,
        /// Now.
        at: UnixMillis,
        /// Messages to be sent to its endpoint once more, at most 256.
        messages: Vec<MessageId>,
        /// Messages up to this one are done then.
        cursor: MessageId,
        /// Whether nothing is left to do then.
        last: bool,
    },
    /// Remembers the answer to a request, for [`Store::remembered`](crate::Store::remembered), where
    /// all that stands before it was done; [`Changed::Missing`] where it was not.
    Remember {
        /// The request.
        idempotency: Idempotency,
        /// When.
        at: UnixMillis,
        /// The status of the answer.
        status: u16,
        /// Its body, at most 64 KiB.
        body: Vec<u8>,
    },
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It is durable.
    Done,
    /// The uid is taken by another application or endpoint.
    UidTaken,
    /// What it is about does not exist (any more).
    Missing,
    /// Something of the kind is under way already.
    Busy,
}
