//! Inside the arm of a `select!` inside a loop.
use tokio::sync::mpsc;

pub async fn run(mut inbox: mpsc::Receiver<Command>, stop: CancellationToken, node: Arc<Node>) {
    loop {
        tokio::select! {
            _ = stop.cancelled() => break,
            Some(command) = inbox.recv() => {
                let node = node.clone();
                tokio::spawn(async move { node.apply(command).await }); //~ PL001 high
            }
        }
    }
}
