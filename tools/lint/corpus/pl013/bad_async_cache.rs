//! moka, by hand: the cache could do it itself.
use moka::future::Cache;

pub struct Prices {
    prices: Cache<Sku, Price>,
    upstream: Upstream,
}

impl Prices {
    pub async fn price(&self, sku: Sku) -> Result<Price, Error> {
        if let Some(price) = self.prices.get(&sku).await { //~ PL013
            return Ok(price);
        }
        let price = self.upstream.price(&sku).await?;
        self.prices.insert(sku, price.clone()).await;
        Ok(price)
    }
}
