//! Under a lock of the key, asked again.
use dashmap::DashMap;

pub struct Profiles {
    cache: DashMap<UserId, Profile>,
    turns: KeyedMutex<UserId>,
    db: Db,
}

impl Profiles {
    pub async fn profile(&self, id: UserId) -> Result<Profile, Error> {
        let _turn = self.turns.lock(id).await;
        if let Some(profile) = self.cache.get(&id) {
            return Ok(profile.clone());
        }
        let profile = self.db.load_profile(id).await?;
        self.cache.insert(id, profile.clone());
        Ok(profile)
    }
}
