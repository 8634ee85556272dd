//! A join set owns its tasks and does not bound them.
use tokio::task::JoinSet;

pub async fn notify_all(subscribers: &[Subscriber], event: Arc<Event>) {
    let mut set = JoinSet::new();
    for subscriber in subscribers {
        let subscriber = subscriber.clone();
        let event = Arc::clone(&event);
        set.spawn(async move { subscriber.deliver(&event).await }); //~ PL001 medium
    }
    while let Some(result) = set.join_next().await {
        if let Err(error) = result {
            tracing::error!(%error, "a delivery panicked");
        }
    }
}
