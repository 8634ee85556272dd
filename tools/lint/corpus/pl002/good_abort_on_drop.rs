//! Wrapped in what aborts it.
pub async fn tail(log: Log, mut out: Sender<Line>) {
    let _reader = AbortOnDropHandle::new(tokio::spawn(log.follow()));
    while let Some(line) = log.next().await {
        if out.send(line).await.is_err() {
            return;
        }
    }
}
