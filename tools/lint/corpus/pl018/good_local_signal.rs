//! The same in one function.
pub async fn both(a: Task, b: Task) {
    let ready = Arc::new(Semaphore::new(0));
    let first = ready.clone();
    let task = tokio::spawn(async move {
        a.run().await;
        first.add_permits(1);
    });
    let _ = ready.acquire().await;
    b.run().await;
    let _ = task.await;
}
