//! One task, one queue of what is due.
pub async fn expire_forever(cache: Arc<Cache>, mut due: DelayQueue<Key>) {
    while let Some(expired) = due.next().await {
        cache.remove(expired.get_ref());
    }
}
