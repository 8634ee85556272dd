//! The cache asks once.
pub async fn price(&self, sku: Sku) -> Result<Price, Arc<Error>> {
    self.prices.try_get_with(sku, self.upstream.price(&sku)).await
}
