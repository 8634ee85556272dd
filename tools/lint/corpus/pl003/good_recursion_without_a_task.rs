//! Recursion, one at a time.
#[async_recursion]
pub async fn delete_tree(store: &Store, key: Key) -> Result<(), Error> {
    for child in store.children(&key).await? {
        delete_tree(store, child).await?;
    }
    store.delete(&key).await
}
