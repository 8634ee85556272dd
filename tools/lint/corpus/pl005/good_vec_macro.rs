//! Two in a literal.
pub async fn both(a: Task, b: Task) -> Vec<Output> {
    futures::future::join_all(vec![a.run(), b.run()]).await
}
