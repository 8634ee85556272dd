//! A join set whose length is asked.
pub async fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let (stream, _) = listener.accept().await?;
        connections.spawn(app.clone().serve(stream));
    }
}
