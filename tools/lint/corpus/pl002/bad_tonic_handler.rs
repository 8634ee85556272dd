//! The same over gRPC.
#[tonic::async_trait]
impl Ledger for LedgerService {
    async fn post(&self, request: Request<Posting>) -> Result<Response<Receipt>, Status> {
        let posting = request.into_inner();
        let receipt = self.book.post(&posting).await?;
        let feed = self.feed.clone();
        tokio::spawn(async move { feed.publish(posting).await }); //~ PL002 high
        Ok(Response::new(receipt))
    }
}
