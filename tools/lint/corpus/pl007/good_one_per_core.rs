//! As many as there are cores.
pub fn start_workers(queue: Queue) -> Vec<JoinHandle<()>> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    (0..cores)
        .map(|_| {
            let queue = queue.clone();
            std::thread::spawn(move || queue.work())
        })
        .collect()
}
