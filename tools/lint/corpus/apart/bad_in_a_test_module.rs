//! What a test does is told apart: its rank is not that of the service.
#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_clients_at_once() {
        let server = start().await;
        for client in clients() {
            tokio::spawn(client.run(server.address())); //~ PL001 test
        }
        server.wait().await;
    }
}
