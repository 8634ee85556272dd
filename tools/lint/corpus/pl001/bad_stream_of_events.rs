//! A stream without an end, a task for each of its items.
use futures::StreamExt;

pub async fn watch(mut events: impl Stream<Item = Event> + Unpin, handler: Handler) {
    while let Some(event) = events.next().await {
        let handler = handler.clone();
        tokio::spawn(async move { handler.handle(event).await }); //~ PL001 medium
    }
}
