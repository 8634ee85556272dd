//! The client says how many of its requests run at once.
pub async fn export(State(app): State<App>, Query(params): Query<Params>) -> Json<Vec<Row>> {
    let rows = stream::iter(app.partitions())
        .map(|partition| app.read(partition))
        .buffer_unordered(params.concurrency) //~ PL019 high
        .collect()
        .await;
    Json(rows)
}
