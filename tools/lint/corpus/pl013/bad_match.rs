//! As a match.
use dashmap::DashMap;

pub struct Resolver {
    cache: DashMap<String, IpAddr>,
    dns: Dns,
}

impl Resolver {
    pub async fn resolve(&self, host: &str) -> Result<IpAddr, Error> {
        match self.cache.get(host) { //~ PL013
            Some(address) => Ok(*address),
            None => {
                let address = self.dns.lookup(host).await?;
                self.cache.insert(host.to_owned(), address);
                Ok(address)
            }
        }
    }
}
