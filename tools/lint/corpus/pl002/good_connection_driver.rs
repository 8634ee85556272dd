//! The driver of a connection ends with the connection, which the sender owns.
pub async fn connect(address: SocketAddr) -> Result<SendRequest<Body>, Error> {
    let stream = timeout(CONNECT, TcpStream::connect(address)).await??;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    Ok(sender)
}
