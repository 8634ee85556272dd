//! Many streams into one, as many as there are.
pub async fn merge(feeds: Vec<Feed>) -> Vec<Entry> {
    stream::iter(feeds).map(|feed| feed.entries()).flatten_unordered(None).collect().await //~ PL006 medium
}
