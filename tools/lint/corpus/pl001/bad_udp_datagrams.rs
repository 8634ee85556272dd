//! Anybody who can send a datagram starts a task.
use tokio::net::UdpSocket;

pub async fn serve(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) -> std::io::Result<()> {
    let mut buffer = [0u8; 1500];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        let query = buffer[..length].to_vec();
        let (socket, resolver) = (socket.clone(), resolver.clone());
        tokio::spawn(async move { //~ PL001 high
            let answer = resolver.answer(&query).await;
            let _ = socket.send_to(&answer, peer).await;
        });
    }
}
