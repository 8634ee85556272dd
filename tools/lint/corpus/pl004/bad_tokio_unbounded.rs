//! Whoever writes faster than the socket takes it fills memory.
use tokio::sync::mpsc;

pub async fn handle_socket(socket: WebSocket, hub: Hub) {
    let (outgoing, mut queue) = mpsc::unbounded_channel(); //~ PL004 high
    hub.register(outgoing).await;
    let (mut sink, _) = socket.split();
    while let Some(frame) = queue.recv().await {
        if sink.send(frame).await.is_err() {
            return;
        }
    }
}
