//! tokio's may be held; then one caller at a time does the network's work.
use tokio::sync::Mutex;

pub async fn query(connection: &Mutex<Connection>, text: &str) -> Result<Rows, Error> {
    let mut connection = connection.lock().await;
    connection.query(text).await //~? PL014 low
}
