//! One, kept.
pub fn start_writer(queue: Receiver<Record>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for record in queue {
            write(record);
        }
    })
}
