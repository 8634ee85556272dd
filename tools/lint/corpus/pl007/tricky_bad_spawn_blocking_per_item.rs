//! tokio's blocking pool has 512 threads, and a queue without an end before them.
pub async fn compress(State(app): State<App>, Json(files): Json<Vec<File>>) -> StatusCode {
    let mut tasks = Vec::new();
    for file in files {
        let store = app.store.clone();
        tasks.push(tokio::task::spawn_blocking(move || store.compress(file))); //~ PL001 high
    }
    for task in tasks {
        let _ = task.await;
    }
    StatusCode::OK
}
