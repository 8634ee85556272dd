//! At most so much.
pub async fn receive(socket: TcpStream) -> io::Result<Message> {
    let mut buffer = Vec::new();
    socket.take(MESSAGE_MAX).read_to_end(&mut buffer).await?;
    Message::parse(&buffer)
}
