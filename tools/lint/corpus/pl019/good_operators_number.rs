//! The operator's number is the operator's.
pub fn start(settings: &Settings) -> (Sender<Job>, Receiver<Job>) {
    tokio::sync::mpsc::channel(settings.queue_depth)
}
