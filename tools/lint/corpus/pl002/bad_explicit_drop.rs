//! Dropped in so many words.
impl Service {
    pub async fn handle(&self, request: Request) -> Response {
        let audit = self.audit.clone();
        let entry = Entry::of(&request);
        drop(tokio::spawn(async move { audit.append(entry).await })); //~ PL002 high
        self.route(request).await
    }
}
