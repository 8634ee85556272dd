//! A blocking task whose handle is dropped runs to its end whatever happens to the request.
pub async fn upload(State(app): State<App>, body: Bytes) -> StatusCode {
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || store.compress(&body)); //~ PL002 high
    StatusCode::ACCEPTED
}
