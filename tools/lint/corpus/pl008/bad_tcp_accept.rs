//! Every connection a task, as many as come.
use tokio::net::TcpListener;

pub async fn serve(listener: TcpListener, app: App) -> std::io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move { //~ PL008 high
            if let Err(error) = app.serve(stream).await {
                tracing::debug!(%peer, %error, "connection failed");
            }
        });
    }
}
