//! For each entry a task that sleeps for an hour: writes decide how many.
pub async fn put(State(app): State<App>, Path(key): Path<String>, value: Bytes) -> StatusCode {
    app.cache.insert(key.clone(), value);
    let cache = app.cache.clone();
    tokio::spawn(async move { //~ PL009 high
        tokio::time::sleep(Duration::from_secs(3600)).await;
        cache.remove(&key);
    });
    StatusCode::NO_CONTENT
}
