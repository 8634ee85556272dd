//! As large as what is in memory already.
pub async fn names(State(app): State<App>, Json(users): Json<Vec<User>>) -> Json<Vec<String>> {
    let mut names = Vec::with_capacity(users.len());
    for user in &users {
        names.push(app.name_of(user));
    }
    Json(names)
}
