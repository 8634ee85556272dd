//! Pushed in a loop.
use futures::stream::FuturesUnordered;

pub async fn replicate(blocks: Vec<Block>, node: Node) -> Result<(), Error> {
    let mut writes = FuturesUnordered::new();
    for block in blocks {
        writes.push(node.write(block)); //~ PL005 medium
    }
    while let Some(written) = writes.next().await {
        written?;
    }
    Ok(())
}
