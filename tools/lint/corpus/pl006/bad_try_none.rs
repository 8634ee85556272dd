//! The fallible one.
pub async fn mirror(objects: impl Stream<Item = Result<Object, Error>>, target: &Bucket) -> Result<(), Error> {
    objects
        .try_for_each_concurrent(None, |object| async move { target.put(object).await }) //~ PL006
        .await
}
