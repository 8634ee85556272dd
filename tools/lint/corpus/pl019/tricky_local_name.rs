//! By way of a name.
pub async fn export(State(app): State<App>, Json(request): Json<Export>) -> StatusCode {
    let at_once = request.concurrency.unwrap_or(8);
    stream::iter(app.partitions()).for_each_concurrent(at_once, |part| app.export(part)).await; //~ PL019 high
    StatusCode::OK
}
