//! `None` is no limit.
use futures::StreamExt;

pub async fn index(State(app): State<App>, Json(documents): Json<Vec<Document>>) -> StatusCode {
    futures::stream::iter(documents)
        .for_each_concurrent(None, |document| app.index.add(document)) //~ PL006 high
        .await;
    StatusCode::OK
}
