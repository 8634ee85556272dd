//! Never more than a chunk at once, and each chunk is awaited before the next.
pub async fn upload(parts: Vec<Part>, bucket: Bucket) -> Result<(), Error> {
    for chunk in parts.chunks(16) {
        let mut handles = Vec::new();
        for part in chunk {
            let (bucket, part) = (bucket.clone(), part.clone());
            handles.push(tokio::spawn(async move { bucket.put(part).await }));
        }
        for handle in handles {
            handle.await??;
        }
    }
    Ok(())
}
