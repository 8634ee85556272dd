//! Before the next one starts, one must have ended.
pub async fn notify_all(subscribers: Vec<Subscriber>, event: Arc<Event>) {
    const AT_ONCE: usize = 32;
    let mut set = JoinSet::new();
    for subscriber in subscribers {
        if set.len() >= AT_ONCE {
            let _ = set.join_next().await;
        }
        let event = event.clone();
        set.spawn(async move { subscriber.deliver(&event).await });
    }
    while set.join_next().await.is_some() {}
}
