//! The error is handled; the number is not.
pub async fn serve(listener: TcpListener, app: App) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                tokio::spawn(app.serve(stream)); //~ PL008 high
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
