//! The largest number there is, written out.
pub async fn verify(blocks: Vec<Block>, chain: &Chain) -> Result<Vec<Verdict>, Error> {
    stream::iter(blocks)
        .map(|block| chain.verify(block))
        .buffer_unordered(usize::MAX) //~ PL006 medium
        .try_collect()
        .await
}
