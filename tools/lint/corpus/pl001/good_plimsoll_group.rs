//! A group waits for a slot before it spawns.
pub async fn refresh(profiles: Vec<ProfileId>) -> Result<(), Error> {
    let mut group = Group::builder("refresh").limit(16).build()?;
    for id in profiles {
        group.spawn(load_profile(id)).await;
    }
    group.join().await?;
    Ok(())
}
