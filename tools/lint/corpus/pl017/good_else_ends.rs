//! `else` runs when all branches are done.
pub async fn merge(mut a: mpsc::Receiver<Item>, mut b: mpsc::Receiver<Item>, sink: &Sink) {
    loop {
        tokio::select! {
            Some(item) = a.recv() => sink.put(item).await,
            Some(item) = b.recv() => sink.put(item).await,
            else => break,
        }
    }
}
