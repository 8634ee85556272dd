//! The plain values that go in and out.

use std::fmt;
use std::str::FromStr;

use crate::{AppId, AttemptId, EndpointId, Id, MessageId, ParseIdError, TaskId};

/// Milliseconds since the Unix epoch.
pub type UnixMillis = i64;

/// An organisation, the owner of applications: `org_…`, at most 64 bytes.
pub type Org = std::sync::Arc<str>;

/// A tenant: an application of the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct App {
    /// Made by the caller.
    pub id: AppId,
    /// Who owns it.
    pub org: Org,
    /// The caller's own name for it, unique in the organisation.
    pub uid: Option<String>,
    /// For people.
    pub name: String,
    /// Messages a second to all of its endpoints together.
    pub throttle_rate: Option<u32>,
    /// Since when nothing is delivered to its endpoints; what is accepted waits.
    pub paused_at: Option<UnixMillis>,
    /// The caller's own keys and values, as JSON object text.
    pub metadata: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// Where messages of an application are delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Made by the caller.
    pub id: EndpointId,
    /// The application it belongs to.
    pub app: AppId,
    /// Its place in the order in which the application's endpoints were made, from 1, never used
    /// twice. A message goes to the endpoints up to the ceiling it was accepted with.
    pub sequence: u64,
    /// The caller's own name for it, unique in the application.
    pub uid: Option<String>,
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// For people.
    pub description: String,
    /// Disabled endpoints are sent nothing.
    pub disabled: bool,
    /// What disabled it, where that was not its owner.
    pub disabled_by: Option<DisabledBy>,
    /// Only these event types; `None` is all.
    pub event_types: Option<Vec<String>>,
    /// Only messages with one of these channels; `None` is all messages.
    pub channels: Option<Vec<String>>,
    /// Messages a second.
    pub throttle_rate: Option<u32>,
    /// Since when nothing is delivered to it; what is to be sent to it waits.
    pub paused_at: Option<UnixMillis>,
    /// The signing secret in force, decoded.
    pub secret: Secret,
    /// Secrets that were rotated out and still sign until they expire, newest first.
    pub old_secrets: Vec<OldSecret>,
    /// Headers sent with each delivery, in order.
    pub headers: Vec<(String, String)>,
    /// The caller's own keys and values, as JSON object text.
    pub metadata: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// What disabled an endpoint, where that was not its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum DisabledBy {
    /// Every attempt failed for as long as one may fail.
    Failing = 0,
    /// It answered that it is gone: 410.
    Gone = 1,
}

impl DisabledBy {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Failing),
            1 => Some(Self::Gone),
            _ => None,
        }
    }
}

/// Key material of an endpoint. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// A secret that was rotated out and still signs for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OldSecret {
    /// The key.
    pub secret: Secret,
    /// Until when it signs.
    pub expires_at: UnixMillis,
}

/// A kind of event of an organisation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventType {
    /// Who owns it.
    pub org: Org,
    /// Its name, unique in the organisation.
    pub name: String,
    /// For people.
    pub description: String,
    /// Archived types are hidden from lists; messages of the type are still accepted.
    pub archived: bool,
    /// Marked as one not to use any more.
    pub deprecated: bool,
    /// Shown only to those who have the flag.
    pub feature_flag: Option<String>,
    /// JSON schemas by version, as JSON object text.
    pub schemas: Option<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// A message as it was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Made by the caller.
    pub id: MessageId,
    /// The application it belongs to.
    pub app: AppId,
    /// The caller's own name for it, unique in the organisation for a day.
    pub event_id: Option<String>,
    /// Its event type.
    pub event_type: String,
    /// Its channels.
    pub channels: Option<Vec<String>>,
    /// The exact bytes of the webhook's body; `None` where the content was not asked for or has
    /// been expunged.
    pub payload: Option<Vec<u8>>,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// Not to be delivered before this; `None` is at once.
    pub deliver_at: Option<UnixMillis>,
    /// When it was called off, before it was to be delivered.
    pub canceled_at: Option<UnixMillis>,
    /// What goes out first of what waits.
    pub priority: Priority,
}

/// A message that waits for its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// The application.
    pub app: AppId,
    /// The message.
    pub message: MessageId,
    /// When it is to be delivered.
    pub due_at: UnixMillis,
}

/// Which of an application's deliveries go first. Its number is what stands in [`DueWork::priority`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
#[repr(u8)]
pub enum Priority {
    /// Before the others.
    High = 0,
    /// Where nothing else is said.
    #[default]
    Normal = 1,
    /// After the others.
    Low = 2,
}

impl Priority {
    /// All of them, the first to go first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// From its number; what is later than all of them is the last.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::High,
            1 => Self::Normal,
            _ => Self::Low,
        }
    }
}

/// What is still to be fanned out of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fanout {
    /// The application.
    pub app: AppId,
    /// The message.
    pub message: MessageId,
    /// Endpoints up to this sequence existed when the message was accepted.
    pub ceiling: u64,
    /// Endpoints up to this sequence are settled: each has an attempt or due work, or was not to
    /// be sent to.
    pub frontier: u64,
    /// Which go first.
    pub priority: Priority,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AttemptState {
    /// The endpoint answered with a 2xx status.
    Succeeded = 0,
    /// It failed and another attempt is due.
    Retrying = 1,
    /// It failed and was the last of the schedule: the delivery is dead, kept, and can be resent.
    Exhausted = 2,
    /// It failed and none follows: a resend by hand, or the endpoint is gone or disabled.
    Failed = 3,
    /// It failed by a fault of ours and none follows: the delivery is dead, kept, and can be resent.
    Faulted = 4,
}

impl AttemptState {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Succeeded),
            1 => Some(Self::Retrying),
            2 => Some(Self::Exhausted),
            3 => Some(Self::Failed),
            4 => Some(Self::Faulted),
            _ => None,
        }
    }

    /// Whether the endpoint took the message.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

/// Why an attempt was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Trigger {
    /// By the schedule.
    Scheduled = 0,
    /// By somebody's resend; it is not retried.
    Manual = 1,
}

/// One attempt to deliver a message to an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// From 1, counted per message and endpoint.
    pub number: u32,
    /// When it began.
    pub at: UnixMillis,
    /// How long it took.
    pub duration_ms: u32,
    /// The HTTP status; 0 where there was no complete response head.
    pub status_code: u16,
    /// The beginning of the response body, or what went wrong; empty where not asked for.
    pub response: Vec<u8>,
    /// The URL it went to.
    pub url: String,
    /// How it ended.
    pub state: AttemptState,
    /// Why it was made.
    pub trigger: Trigger,
}

/// What kind of work is due.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum WorkKind {
    /// A webhook delivery: the key is the endpoint, the subject the message.
    Delivery = 1,
}

/// The identity of a unit of due work: repeating an insert with it changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WorkId {
    /// What kind.
    pub kind: WorkKind,
    /// What it is about: for a delivery, the message.
    pub subject: Id,
    /// Whom it contends with: for a delivery, the endpoint.
    pub key: Id,
    /// Told apart from the scheduled one: a resend by hand is work of its own.
    pub trigger: Trigger,
}

impl WorkId {
    /// The scheduled or resent delivery of `message` to `endpoint`.
    #[must_use]
    pub const fn delivery(message: MessageId, endpoint: EndpointId, trigger: Trigger) -> Self {
        Self { kind: WorkKind::Delivery, subject: message.0, key: endpoint.0, trigger }
    }
}

/// Work that is to be done at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueWork {
    /// Its identity.
    pub id: WorkId,
    /// Who owns the tenant.
    pub org: Org,
    /// Whose work it is.
    pub tenant: AppId,
    /// Not before this.
    pub due_at: UnixMillis,
    /// Lower goes first among what is due for one key.
    pub priority: u8,
    /// How often it has been tried.
    pub tries: u32,
}

/// What is pending of an application: deliveries that are not settled.
///
/// Of a message that is being fanned out it is the share of the endpoints that its frontier has not
/// come to, so that it may be a little more than there is, and never less; of what was put off or
/// is to be tried again it is exact.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Backlog {
    /// How many.
    pub deliveries: u64,
    /// How many were settled a second of late; 0.0 where none were.
    pub drained_per_second: f64,
}

/// What is pending of all applications.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlogs {
    /// Applications that have something pending.
    pub applications: usize,
    /// Deliveries, all together.
    pub deliveries: u64,
    /// Those of the application that has the most.
    pub deliveries_max: u64,
}

/// Deliveries of an endpoint by state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EndpointStats {
    /// Took the message.
    pub succeeded: u64,
    /// Another attempt is due.
    pub pending: u64,
    /// Being sent for the first time.
    pub sending: u64,
    /// Failed for good.
    pub failed: u64,
}

/// How the delivery of a message to an endpoint stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// Taken.
    Succeeded,
    /// Another attempt is due then.
    Pending {
        /// When.
        due_at: UnixMillis,
    },
    /// Not tried yet.
    Sending,
    /// Failed for good.
    Failed,
}

/// Why a delivery is dead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Death {
    /// The last attempt of the schedule failed.
    Exhausted = 0,
    /// A fault of ours ended it.
    InternalFault = 1,
    /// Its endpoint was disabled while it was to be tried again.
    Disabled = 2,
}

impl Death {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Exhausted),
            1 => Some(Self::InternalFault),
            2 => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// Which dead letter: a message and the endpoint it did not reach, in the order of lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DeadLetterId {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: EndpointId,
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.message, self.endpoint)
    }
}

impl FromStr for DeadLetterId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (message, endpoint) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { message: message.parse()?, endpoint: endpoint.parse()? })
    }
}

/// A delivery that failed for good, kept until it succeeds after all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Which.
    pub id: DeadLetterId,
    /// The message's event type.
    pub event_type: String,
    /// The caller's own name for the message.
    pub event_id: Option<String>,
    /// Why it is dead.
    pub death: Death,
    /// Since when.
    pub died_at: UnixMillis,
    /// How many attempts were made.
    pub attempts: u32,
    /// The status of the last of them; 0 where there was no complete response head.
    pub status_code: u16,
    /// The beginning of its response, or what went wrong: at most 1 KiB.
    pub response: Vec<u8>,
}

/// An endpoint whose attempts fail, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failing {
    /// The application.
    pub app: AppId,
    /// When the first of them began after the last success.
    pub since: UnixMillis,
    /// When the last one began that this process has seen.
    pub last: UnixMillis,
}

/// The newest attempts to an endpoint, of each sort.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastAttempts {
    /// The last that succeeded, among the newest 1,000.
    pub succeeded: Option<Attempt>,
    /// The last that did not, among the newest 1,000.
    pub failed: Option<Attempt>,
}

/// What a background task does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TaskKind {
    /// Sends once more what failed for good.
    Recover = 0,
    /// Sends what was never sent to the endpoint.
    ReplayMissing = 1,
}

impl TaskKind {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Recover),
            1 => Some(Self::ReplayMissing),
            _ => None,
        }
    }
}

/// How a background task stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TaskState {
    /// It has something left to do.
    Running = 0,
    /// All is done.
    Finished = 1,
    /// Its endpoint was deleted or disabled before the end.
    Failed = 2,
}

impl TaskState {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Running),
            1 => Some(Self::Finished),
            2 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Work in the background that an endpoint's owner asked for, done in small steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Made by the caller.
    pub id: TaskId,
    /// Who owns the application.
    pub org: Org,
    /// The application.
    pub app: AppId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What it does.
    pub kind: TaskKind,
    /// Messages accepted from then on.
    pub since: UnixMillis,
    /// Messages accepted until then.
    pub until: UnixMillis,
    /// Messages up to this one are done.
    pub cursor: MessageId,
    /// How many were made due again.
    pub replayed: u64,
    /// How it stands.
    pub state: TaskState,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// When it last did something.
    pub updated_at: UnixMillis,
}
