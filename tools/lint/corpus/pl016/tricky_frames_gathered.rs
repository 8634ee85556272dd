//! Frame by frame into a list.
pub async fn gather(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            all.extend_from_slice(data); //~ PL016
        }
    }
    Ok(all)
}
