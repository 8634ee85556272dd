//! What is read from disk for the schedule.

use std::sync::Arc;

use plimsoll_store::{AppId, DueWork, EndpointId, MessageId, UnixMillis, WorkId};

use super::envelope::Envelope;

/// A read to make.
#[derive(Debug)]
pub(crate) enum Load {
    /// The oldest messages of an application whose fan-out is not complete.
    Fanouts { app: AppId, except: Vec<MessageId>, limit: u32, bytes: usize },
    /// What is due for an endpoint.
    Due { app: AppId, endpoint: EndpointId, except: Vec<WorkId>, limit: u32 },
}

/// Due work with its messages; `None` where a message is gone.
pub(crate) struct LoadedDue {
    pub(crate) app: AppId,
    pub(crate) endpoint: EndpointId,
    pub(crate) works: Vec<(DueWork, Option<Arc<Envelope>>)>,
    /// When the next is due that is not among them.
    pub(crate) next: Option<UnixMillis>,
}
