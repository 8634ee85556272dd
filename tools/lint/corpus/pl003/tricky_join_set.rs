//! A join set in each level: owned, and still as many as the tree has nodes.
#[async_recursion]
pub async fn copy_tree(source: Directory, target: Directory) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for child in source.children().await? {
        let target = target.child(child.name());
        tasks.spawn(async move { copy_tree(child, target).await }); //~ PL003
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
