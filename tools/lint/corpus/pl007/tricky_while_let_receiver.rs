//! Each message a thread.
pub fn work(queue: std::sync::mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        std::thread::spawn(move || job.run()); //~ PL007 high
    }
}
