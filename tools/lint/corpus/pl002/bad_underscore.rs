//! `let _` drops the handle as surely as a semicolon.
pub async fn checkout(State(shop): State<Shop>, Json(cart): Json<Cart>) -> Json<Receipt> {
    let receipt = shop.charge(&cart).await;
    let _ = tokio::spawn(shop.analytics.clone().record(cart)); //~ PL002 high
    Json(receipt)
}
