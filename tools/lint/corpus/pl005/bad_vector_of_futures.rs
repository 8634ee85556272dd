//! First a list of futures, then all of them.
use futures::future::join_all;

pub async fn score(documents: Vec<Document>, model: Arc<Model>) -> Vec<f32> {
    let mut scores = Vec::new();
    for document in documents {
        scores.push(model.score(document));
    }
    join_all(scores).await //~ PL005 medium
}
