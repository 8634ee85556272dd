//! The same with a thread and a blocked one at that.
pub fn unlock_later(door: Arc<Door>) {
    std::thread::spawn(move || { //~? PL009
        std::thread::sleep(Duration::from_secs(5));
        door.lock();
    });
}
