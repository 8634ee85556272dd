//! In the body of a trait's method.
impl Sink for Fanout {
    async fn publish(&self, records: Vec<Record>) -> Result<(), Error> {
        for record in records {
            for target in &self.targets {
                let target = target.clone();
                let record = record.clone();
                tokio::spawn(async move { target.send(record).await }); //~ PL001 medium
            }
        }
        Ok(())
    }
}
