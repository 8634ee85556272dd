//! Everything a socket sends.
pub async fn receive(mut socket: TcpStream) -> io::Result<Message> {
    let mut buffer = Vec::new();
    socket.read_to_end(&mut buffer).await?; //~ PL016
    Message::parse(&buffer)
}
