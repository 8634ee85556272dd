//! The loop waits for one event, and starts one task when it came.
pub async fn when_ready(mut states: watch::Receiver<State>, server: Server) -> JoinHandle<()> {
    loop {
        if states.borrow_and_update().is_ready() {
            return tokio::spawn(async move { server.run().await });
        }
        if states.changed().await.is_err() {
            return tokio::spawn(async {});
        }
    }
}
