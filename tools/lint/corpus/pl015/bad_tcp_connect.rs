//! A connect that waits as long as the kernel does: two minutes.
pub async fn dial(address: SocketAddr) -> io::Result<Framed<TcpStream, Codec>> {
    let stream = TcpStream::connect(address).await?; //~ PL015
    Ok(Framed::new(stream, Codec::default()))
}
