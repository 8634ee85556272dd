//! Through an alias of the module.
use tokio::task as rt;

pub async fn expire(keys: Vec<String>, cache: Arc<Cache>) {
    for key in keys {
        let cache = cache.clone();
        rt::spawn(async move { cache.expire(&key).await }); //~ PL001 medium
    }
}
