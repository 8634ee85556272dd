//! Served in the loop: one at a time.
pub async fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        if let Err(error) = app.serve(stream).await {
            tracing::debug!(%error, "connection failed");
        }
    }
}
