//! A loop that serves goes on after an error of one item: each is another one.
pub async fn consume(mut queue: Queue, app: App) {
    loop {
        let Some(message) = queue.next().await else { return };
        if let Err(error) = app.handle(message).await {
            tracing::warn!(%error, "message was not handled");
        }
    }
}
