//! A reference into a DashMap locks a shard.
use dashmap::DashMap;

pub async fn touch(sessions: &DashMap<Id, Session>, id: Id, db: &Db) -> Result<(), Error> {
    if let Some(mut session) = sessions.get_mut(&id) {
        session.last_seen = db.now().await?; //~ PL014
    }
    Ok(())
}
