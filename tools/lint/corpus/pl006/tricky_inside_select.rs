//! Inside a `select!`.
pub async fn run(stop: CancellationToken, messages: impl Stream<Item = Message>, app: App) {
    tokio::select! {
        _ = stop.cancelled() => {}
        _ = messages.for_each_concurrent(None, |message| app.handle(message)) => {} //~ PL006
    }
}
