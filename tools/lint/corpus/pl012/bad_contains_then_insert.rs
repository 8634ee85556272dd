//! Between the question and the insert another thread has inserted.
use dashmap::DashMap;

pub fn register(sessions: &DashMap<UserId, Session>, user: UserId) -> Result<(), Taken> {
    if sessions.contains_key(&user) { //~ PL012
        return Err(Taken);
    }
    sessions.insert(user, Session::new());
    Ok(())
}
