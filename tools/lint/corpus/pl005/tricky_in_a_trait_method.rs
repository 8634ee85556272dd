//! In a trait's method, from a message of a peer.
#[async_trait]
impl Handler<GetBlocks> for Node {
    async fn handle(&self, request: GetBlocks, peer: PeerId) -> Vec<Block> {
        let reads = request.hashes.iter().map(|hash| self.store.read(hash));
        join_all(reads).await.into_iter().flatten().collect() //~ PL005 high
    }
}
