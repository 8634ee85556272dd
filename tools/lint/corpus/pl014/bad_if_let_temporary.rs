//! The guard of a scrutinee lives as long as its block.
use std::sync::Mutex;

pub async fn close(connection: &Mutex<Option<Connection>>) {
    if let Some(connection) = connection.lock().unwrap().as_mut() {
        connection.close().await; //~ PL014
    }
}
