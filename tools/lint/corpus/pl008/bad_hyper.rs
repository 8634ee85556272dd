//! The usual example of serving by hand.
pub async fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let io = TokioIo::new(stream);
        tokio::task::spawn(async move { //~ PL008 high
            if let Err(error) = http1::Builder::new().serve_connection(io, service_fn(hello)).await {
                eprintln!("error serving connection: {error:?}");
            }
        });
    }
}
