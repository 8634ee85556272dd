//! The block ends before the await.
use std::sync::Mutex;

pub async fn record(log: &Mutex<Vec<Entry>>, store: &Store, entry: Entry) {
    let batch = {
        let mut entries = log.lock().unwrap();
        entries.push(entry);
        std::mem::take(&mut *entries)
    };
    store.write(batch).await;
}
