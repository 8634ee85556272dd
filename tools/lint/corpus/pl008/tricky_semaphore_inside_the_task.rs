//! The permit is taken by the task: the socket is open, the task is there.
pub async fn serve(listener: TcpListener, limit: Arc<Semaphore>, app: App) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (limit, app) = (limit.clone(), app.clone());
        tokio::spawn(async move { //~ PL008 high
            let _permit = limit.acquire().await;
            app.serve(stream).await;
        });
    }
}
