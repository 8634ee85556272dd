//! A frame that is too long is refused before memory is taken for it.
pub async fn read_frame(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = socket.read_u32().await? as usize;
    if length > FRAME_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    socket.read_exact(&mut frame).await?;
    Ok(frame)
}
