//! Locked to ask, unlocked, locked to insert.
pub fn claim(jobs: &Mutex<HashMap<JobId, WorkerId>>, job: JobId, worker: WorkerId) -> bool {
    if jobs.lock().unwrap().contains_key(&job) { //~ PL012
        return false;
    }
    jobs.lock().unwrap().insert(job, worker);
    true
}
