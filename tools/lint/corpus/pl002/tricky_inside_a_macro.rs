//! Inside the arm of a macro.
pub async fn session(mut socket: WebSocket, hub: Arc<Hub>) {
    tokio::select! {
        Some(Ok(frame)) = socket.recv() => {
            let hub = hub.clone();
            tokio::spawn(async move { hub.publish(frame).await }); //~ PL002
        }
        _ = hub.closed() => {}
    }
}
