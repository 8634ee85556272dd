//! In a block that is spawned.
use std::sync::{Arc, Mutex};

pub fn start(shared: Arc<Mutex<Queue>>, out: Sender<Job>) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let mut queue = shared.lock().unwrap();
        while let Some(job) = queue.pop() {
            let _ = out.send(job).await; //~ PL014
        }
    })
}
