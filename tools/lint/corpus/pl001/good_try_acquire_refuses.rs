//! Without a permit the message is refused, not queued.
pub async fn consume(mut inbox: Inbox, limit: Arc<Semaphore>, app: App) {
    while let Some(message) = inbox.next().await {
        let Ok(permit) = limit.clone().try_acquire_owned() else {
            message.reject().await;
            continue;
        };
        let app = app.clone();
        tokio::spawn(async move { //~? PL002
            app.handle(message).await;
            drop(permit);
        });
    }
}
