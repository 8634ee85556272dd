//! Two tasks for each node.
fn sum(node: Arc<Node>) -> BoxFuture<'static, u64> {
    async move {
        let left = node.left.clone().map(|child| tokio::spawn(sum(child))); //~ PL003
        let right = node.right.clone().map(|child| tokio::spawn(sum(child))); //~ PL003
        let mut total = node.value;
        for half in [left, right].into_iter().flatten() {
            total += half.await.unwrap_or(0);
        }
        total
    }
    .boxed()
}
