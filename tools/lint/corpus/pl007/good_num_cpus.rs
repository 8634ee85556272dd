//! The same, by the crate for it.
pub fn start_workers(queue: Queue) {
    for _ in 0..num_cpus::get() {
        let queue = queue.clone();
        std::thread::spawn(move || queue.work());
    }
}
