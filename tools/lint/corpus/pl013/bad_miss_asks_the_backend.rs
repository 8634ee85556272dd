//! A thousand callers miss at once, and a thousand ask the database.
pub async fn profile(State(app): State<App>, Path(id): Path<UserId>) -> Result<Json<Profile>, ApiError> {
    if let Some(profile) = app.cache.get(&id) { //~ PL013 high
        return Ok(Json(profile.clone()));
    }
    let profile = app.db.load_profile(id).await?;
    app.cache.insert(id, profile.clone());
    Ok(Json(profile))
}
