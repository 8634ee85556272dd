//! A name that begins with an underscore and is not used again is a dropped handle with a name.
pub async fn update(State(app): State<App>, Path(id): Path<u64>, Json(patch): Json<Patch>) -> StatusCode {
    app.store.apply(id, patch).await;
    let index = app.index.clone();
    let _reindex = tokio::spawn(async move { index.refresh(id).await }); //~ PL002 high
    StatusCode::NO_CONTENT
}
