//! What failed is tried again by a task that waits: in an outage all of them wait.
async fn deliver(&self, hook: Hook) {
    if self.client.post(&hook).await.is_err() {
        let sender = self.retries.clone();
        tokio::spawn(async move { //~ PL009
            sleep(backoff(hook.attempt)).await;
            let _ = sender.send(hook.again()).await;
        });
    }
}
