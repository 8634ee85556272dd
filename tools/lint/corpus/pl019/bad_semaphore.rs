//! And how many permits there are.
pub async fn run(State(app): State<App>, Json(job): Json<JobRequest>) -> StatusCode {
    let limit = Arc::new(Semaphore::new(job.parallelism)); //~ PL019 high
    app.run(job.steps, limit).await;
    StatusCode::OK
}
