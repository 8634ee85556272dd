//! `insert` answers the question itself.
pub fn mark(seen: &DashSet<MessageId>, id: MessageId) -> bool {
    seen.insert(id)
}
