//! A set that is emptied before it is filled.
pub async fn replicate(mut blocks: Blocks, node: Node) -> Result<(), Error> {
    let mut writes = FuturesUnordered::new();
    while let Some(block) = blocks.next().await {
        if writes.len() >= 32 {
            writes.next().await.transpose()?;
        }
        writes.push(node.write(block));
    }
    writes.try_collect().await
}
