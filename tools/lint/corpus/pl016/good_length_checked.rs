//! Frame by frame, with a length that is asked.
pub async fn gather(mut body: Incoming) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            if all.len() + data.len() > BODY_MAX {
                return Err(Error::TooLarge);
            }
            all.extend_from_slice(data);
        }
    }
    Ok(all)
}
