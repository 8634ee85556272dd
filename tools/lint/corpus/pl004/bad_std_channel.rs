//! The standard library's `channel` has no bound; `sync_channel` has.
use std::sync::mpsc;

pub fn log_queue() -> (mpsc::Sender<Record>, mpsc::Receiver<Record>) {
    mpsc::channel() //~ PL004
}
