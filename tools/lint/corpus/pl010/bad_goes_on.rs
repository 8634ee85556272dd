//! `continue` on an error is a retry.
pub async fn store(db: &Pool, row: &Row) -> u64 {
    loop {
        let Ok(mut connection) = db.get().await else { //~ PL010
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        return connection.insert(row).await;
    }
}
