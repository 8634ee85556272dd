//! A capacity, whatever the crate.
use tokio::sync::mpsc;

pub fn queues() -> Queues {
    let (a, b) = mpsc::channel(1_024);
    let (c, d) = flume::bounded(64);
    let (e, f) = async_channel::bounded(32);
    let (g, h) = crossbeam_channel::bounded(8);
    let (i, j) = std::sync::mpsc::sync_channel(16);
    Queues { a, b, c, d, e, f, g, h, i, j }
}
