//! A thread that another task's lock waits for.
use std::sync::Mutex;

pub async fn record(log: &Mutex<Vec<Entry>>, store: &Store, entry: Entry) {
    let mut entries = log.lock().unwrap();
    entries.push(entry);
    store.flush(&entries).await; //~ PL014
}
