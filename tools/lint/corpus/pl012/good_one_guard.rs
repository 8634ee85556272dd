//! One guard over both.
pub fn claim(jobs: &Mutex<HashMap<JobId, WorkerId>>, job: JobId, worker: WorkerId) -> bool {
    let mut jobs = jobs.lock().unwrap();
    if jobs.contains_key(&job) {
        return false;
    }
    jobs.insert(job, worker);
    true
}
