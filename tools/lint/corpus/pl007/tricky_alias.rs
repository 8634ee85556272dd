//! Under another name.
use std::thread::spawn as start_thread;

pub fn watch(paths: Vec<PathBuf>, events: SyncSender<Event>) {
    for path in paths {
        let events = events.clone();
        start_thread(move || watch_one(path, events)); //~ PL007 medium
    }
}
