//! What a URL of a user answers.
pub async fn preview(State(app): State<App>, Json(request): Json<Preview>) -> Result<Json<Card>, ApiError> {
    let response = app.http.get(request.url).send().await?;
    let html = response.text().await?; //~ PL016
    Ok(Json(Card::of(&html)))
}
