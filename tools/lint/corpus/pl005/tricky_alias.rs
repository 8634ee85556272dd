//! Under another name.
use futures_util::future::join_all as all;

pub async fn warm(keys: Vec<Key>, cache: &Cache) {
    all(keys.into_iter().map(|key| cache.load(key))).await; //~ PL005 medium
}
