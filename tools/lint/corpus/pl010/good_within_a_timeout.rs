//! A time-out around it all.
pub async fn connect(address: SocketAddr) -> Result<TcpStream, Elapsed> {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
    .await
}
