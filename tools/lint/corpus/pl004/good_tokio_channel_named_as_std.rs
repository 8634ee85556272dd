//! tokio's `channel`, by the bare name: it takes a capacity.
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub fn start() -> (Sender<Job>, Receiver<Job>) {
    channel(128)
}
