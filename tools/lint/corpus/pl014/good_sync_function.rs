//! Nothing is awaited here.
use std::sync::Mutex;

pub fn push(log: &Mutex<Vec<Entry>>, entry: Entry) {
    let mut entries = log.lock().unwrap();
    entries.push(entry);
    entries.truncate(1_000);
}
