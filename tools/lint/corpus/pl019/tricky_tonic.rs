//! From a message over gRPC.
#[tonic::async_trait]
impl Search for SearchService {
    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<Hits>, Status> {
        let query = request.into_inner();
        let mut hits = Vec::with_capacity(query.limit as usize); //~ PL019 high
        self.index.search(&query.text, &mut hits).await?;
        Ok(Response::new(Hits { hits }))
    }
}
