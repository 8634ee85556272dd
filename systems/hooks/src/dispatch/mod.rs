//! Decides what is delivered next, and delivers it.

use plimsoll_store::{AppId, EndpointId};

/// The dispatcher's handle.
pub(crate) struct Dispatch {}

impl Dispatch {
    /// An endpoint was made, changed, enabled, disabled or deleted: whatever is parked or kept of
    /// it is looked at again. Call after the routing table was changed.
    pub(crate) fn endpoint_changed(&self, app: AppId, endpoint: EndpointId) {
        todo!()
    }

    /// Due work of an endpoint was made by hand (a resend): look for it now.
    pub(crate) fn due_now(&self, app: AppId, endpoint: EndpointId) {
        todo!()
    }
}
