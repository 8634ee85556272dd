//! Without a permit nothing is accepted: the kernel's queue holds the rest.
pub async fn serve(listener: TcpListener, limit: Arc<Semaphore>, app: App) -> io::Result<()> {
    loop {
        let permit = limit.clone().acquire_owned().await.expect("never closed");
        let (stream, _) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move {
            app.serve(stream).await;
            drop(permit);
        });
    }
}
