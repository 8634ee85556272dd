//! The framework has a limit, and it is switched off.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/upload", post(upload))
        .layer(DefaultBodyLimit::disable()) //~ PL016
        .with_state(app)
}
