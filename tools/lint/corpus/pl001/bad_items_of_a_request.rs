//! A task for each item a client sent: the client says how many tasks there are.
use axum::{Json, extract::State};

pub async fn import(State(app): State<App>, Json(batch): Json<Batch>) -> StatusCode {
    for row in batch.rows {
        let store = app.store.clone();
        tokio::spawn(async move { //~ PL001 high
            if let Err(error) = store.write(row).await {
                tracing::warn!(%error, "row was not written");
            }
        });
    }
    StatusCode::ACCEPTED
}
