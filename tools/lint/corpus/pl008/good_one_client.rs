//! One client in its life.
pub async fn serve_one(listener: TcpListener, app: App) -> io::Result<()> {
    let (stream, _) = listener.accept().await?;
    app.serve(stream).await
}
