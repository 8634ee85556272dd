//! The temporary ends with its statement.
use std::sync::Mutex;

pub async fn call(client: &Mutex<Arc<Client>>, request: Request) -> Response {
    let client = client.lock().unwrap().clone();
    client.send(request).await
}
