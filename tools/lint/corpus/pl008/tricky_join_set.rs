//! Its owner waits for them at the end, and lets in all that come.
pub async fn serve(listener: TcpListener, app: App, stop: Stop) {
    let mut connections = JoinSet::new();
    while let Some(Ok((stream, _))) = stop.until(listener.accept()).await {
        connections.spawn(app.clone().serve(stream)); //~ PL008 high
    }
    while connections.join_next().await.is_some() {}
}
