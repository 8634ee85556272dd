//! `collect` of something that is no body.
pub async fn names(stream: impl Stream<Item = Row>) -> Vec<String> {
    stream.take(100).map(|row| row.name).collect().await
}
