//! The stream starts the next task when one has ended.
pub async fn thumbnails(ids: Vec<ImageId>, store: Arc<Store>) -> usize {
    futures::stream::iter(ids)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move { store.thumbnail(id).await })
        })
        .buffer_unordered(8)
        .filter_map(|done| async move { done.ok() })
        .count()
        .await
}
