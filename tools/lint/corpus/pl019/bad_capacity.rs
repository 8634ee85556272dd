//! A header that says four gigabytes.
pub async fn read_frame(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = socket.read_u32().await? as usize;
    let mut frame = vec![0; length]; //~ PL019 high
    socket.read_exact(&mut frame).await?;
    Ok(frame)
}
