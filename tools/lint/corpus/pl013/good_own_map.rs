//! A map of this call.
pub async fn load_all(db: &Db, orders: &[Order]) -> Result<HashMap<UserId, User>, Error> {
    let mut users = HashMap::new();
    for order in orders {
        if !users.contains_key(&order.user) {
            let user = db.user(order.user).await?;
            users.insert(order.user, user);
        }
    }
    Ok(users)
}
