//! A number.
pub async fn index(documents: Vec<Document>, index: &Index) {
    stream::iter(documents).for_each_concurrent(16, |document| index.add(document)).await;
}
