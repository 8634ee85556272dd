//! One operation.
pub fn register(sessions: &DashMap<UserId, Session>, user: UserId) -> Result<(), Taken> {
    match sessions.entry(user) {
        Entry::Occupied(_) => Err(Taken),
        Entry::Vacant(slot) => {
            slot.insert(Session::new());
            Ok(())
        }
    }
}
