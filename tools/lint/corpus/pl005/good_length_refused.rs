//! The request is refused before it becomes work.
pub async fn lookup(State(app): State<App>, Json(ids): Json<Vec<UserId>>) -> Result<Json<Vec<User>>, ApiError> {
    if ids.len() > MAX_IDS {
        return Err(ApiError::TooMany { limit: MAX_IDS });
    }
    Ok(Json(join_all(ids.iter().map(|id| app.users.get(*id))).await))
}
