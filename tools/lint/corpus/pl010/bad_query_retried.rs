//! The same call until it is `Ok`.
async fn save(&self, State(app): State<App>, Json(order): Json<Order>) -> Json<OrderId> {
    let id = loop {
        match app.db.insert_order(&order).await { //~ PL010 high
            Ok(id) => break id,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    Json(id)
}
