//! A cell that one of them fills.
pub async fn keys(&self) -> Result<&Keys, Error> {
    self.keys.get_or_try_init(|| self.issuer.fetch_keys()).await
}
