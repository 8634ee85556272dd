//! One call per key, all share it.
use dashmap::DashMap;

pub struct Profiles {
    cache: DashMap<UserId, Profile>,
    flights: Group<UserId, Profile>,
    db: Db,
}

impl Profiles {
    pub async fn profile(&self, id: UserId) -> Result<Profile, Error> {
        if let Some(profile) = self.cache.get(&id) {
            return Ok(profile.clone());
        }
        self.flights.run(id, || async {
            let profile = self.db.load_profile(id).await?;
            self.cache.insert(id, profile.clone());
            Ok(profile)
        })
        .await
    }
}
