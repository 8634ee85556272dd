//! A constant with a name.
const AT_ONCE: usize = 32;

pub async fn verify(blocks: Vec<Block>, chain: &Chain) -> Vec<Verdict> {
    stream::iter(blocks).map(|block| chain.verify(block)).buffer_unordered(AT_ONCE).collect().await
}
