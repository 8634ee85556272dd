//! Accepted, and cut when there is no permit.
pub async fn serve(listener: TcpListener, limit: Arc<Semaphore>, app: App) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let Ok(permit) = limit.clone().try_acquire_owned() else {
            tracing::info!(%peer, "refused: too many connections");
            continue;
        };
        let app = app.clone();
        tokio::spawn(async move {
            let _permit = permit;
            app.serve(stream).await;
        });
    }
}
