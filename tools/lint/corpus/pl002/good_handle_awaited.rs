//! Started early, awaited later.
pub async fn page(State(app): State<App>, Path(id): Path<u64>) -> Result<Json<Page>, ApiError> {
    let related = tokio::spawn(app.clone().related(id));
    let article = app.article(id).await?;
    Ok(Json(Page { article, related: related.await? }))
}
