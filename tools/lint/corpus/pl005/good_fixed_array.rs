//! Three, and it says so.
pub async fn dashboard(State(app): State<App>) -> Json<Dashboard> {
    let parts = join_all([app.count("users"), app.count("orders"), app.count("refunds")]).await;
    Json(Dashboard::from(parts))
}
