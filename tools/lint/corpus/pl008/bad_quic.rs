//! QUIC's connections are connections.
pub async fn listen(endpoint: quinn::Endpoint, handler: Handler) {
    while let Some(incoming) = endpoint.accept().await {
        let handler = handler.clone();
        tokio::spawn(async move { //~ PL008 high
            match incoming.await {
                Ok(connection) => handler.run(connection).await,
                Err(error) => tracing::warn!(%error, "handshake failed"),
            }
        });
    }
}
