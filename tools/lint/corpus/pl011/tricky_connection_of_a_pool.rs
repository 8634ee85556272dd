//! A loop that sleeps between tries, inside the block that holds the permit.
async fn fetch(&self, key: &Key) -> Result<Value, Error> {
    let value = {
        let _slot = self.slots.acquire().await?;
        loop {
            match self.backend.get(key).await {
                Ok(value) => break value,
                Err(error) if error.is_fatal() => return Err(error),
                Err(_) => tokio::time::sleep(self.pause).await, //~ PL011
            }
        }
    };
    Ok(value)
}
