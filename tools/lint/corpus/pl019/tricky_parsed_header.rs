//! From a header, parsed.
pub async fn batch(headers: HeaderMap, State(app): State<App>, Json(items): Json<Vec<Item>>) -> StatusCode {
    let workers: usize = headers.get("x-workers").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(4);
    stream::iter(items).map(|item| app.put(item)).buffer_unordered(workers).for_each(|_| async {}).await; //~ PL019 high
    StatusCode::OK
}
