//! The default leaves the loop.
pub fn drain(queue: &Receiver<Job>, jobs: &mut Vec<Job>) {
    loop {
        crossbeam_channel::select! {
            recv(queue) -> job => jobs.extend(job),
            default => break,
        }
    }
}
