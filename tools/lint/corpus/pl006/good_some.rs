//! A number within `Some`.
pub async fn mirror(objects: impl Stream<Item = Result<Object, Error>>, target: &Bucket) -> Result<(), Error> {
    objects.try_for_each_concurrent(Some(8), |object| target.put(object)).await
}
