//! What the parts of hooks share, and the handle that the host holds.

use std::sync::Arc;

use plimsoll_store::{Accepted, NewMessage, Store};

use crate::dispatch::Dispatch;
use crate::routing::Routing;

/// The running system; cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    core: Arc<Core>,
}

/// Why it could not start.
#[derive(Debug)]
pub enum StartError {}

/// What the parts share.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) routing: Routing,
    pub(crate) dispatch: Dispatch,
}

impl Core {
    /// Accepts a message: durable when this returns `Stored`. The commit and the hand-over to the
    /// dispatcher go to their end even when the caller goes away.
    pub(crate) async fn accept(&self, message: NewMessage) -> Result<Accepted, plimsoll_store::Error> {
        todo!()
    }

    /// Runs `work` to its end even when the caller goes away: for changes that are made durable
    /// and then take effect in memory.
    pub(crate) async fn to_the_end<T, F>(&self, work: F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        todo!()
    }
}
