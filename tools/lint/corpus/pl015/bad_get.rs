//! One call, a client of its own, no time-out.
pub async fn avatar(Path(user): Path<String>) -> Result<Bytes, ApiError> {
    let response = reqwest::get(format!("https://avatars.example/{user}")).await?; //~ PL015 high
    Ok(response.bytes().await?) //~? PL016
}
