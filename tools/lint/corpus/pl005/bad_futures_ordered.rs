//! In order, and no more bounded.
pub async fn render(State(app): State<App>, Json(request): Json<RenderRequest>) -> Json<Vec<Html>> {
    let mut ordered: FuturesOrdered<_> = request.blocks.into_iter().map(|block| app.render(block)).collect(); //~ PL005 high
    let mut out = Vec::new();
    while let Some(html) = ordered.next().await {
        out.push(html);
    }
    Json(out)
}
