//! Accepting within a `select!`.
pub async fn serve(listener: TcpListener, stop: CancellationToken, app: App) {
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let app = app.clone();
                tokio::spawn(async move { app.serve(stream).await }); //~ PL008 high
            }
        }
    }
}
