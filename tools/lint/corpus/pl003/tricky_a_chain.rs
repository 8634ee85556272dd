//! Each starts at most one that comes after it: a chain, of which one link lives.
pub fn deliver(client: Client, hook: Hook, attempt: u32) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if client.post(&hook).await.is_err() {
            tokio::spawn(deliver(client.clone(), hook, attempt + 1)); //~? PL002
        }
    })
}
