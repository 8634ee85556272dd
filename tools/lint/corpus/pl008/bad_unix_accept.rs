//! A Unix socket has many clients too.
pub async fn control(listener: tokio::net::UnixListener, node: Arc<Node>) {
    while let Ok((stream, _)) = listener.accept().await {
        let node = node.clone();
        tokio::spawn(async move { node.command(stream).await }); //~ PL008 high
    }
}
