//! Between one and sixteen.
pub async fn export(State(app): State<App>, Query(params): Query<Params>) -> Json<Vec<Row>> {
    let at_once = params.concurrency.clamp(1, 16);
    Json(stream::iter(app.partitions()).map(|part| app.read(part)).buffer_unordered(at_once).collect().await)
}
