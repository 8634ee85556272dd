//! Eight at a time.
pub async fn lookup(app: &App, ids: &[UserId]) -> Vec<User> {
    let mut users = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(8) {
        users.extend(join_all(chunk.iter().map(|id| app.users.get(*id))).await);
    }
    users
}
