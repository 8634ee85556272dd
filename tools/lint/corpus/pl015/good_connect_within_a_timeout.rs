//! A time-out around it.
pub async fn dial(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = tokio::time::timeout(Duration::from_secs(3), TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
