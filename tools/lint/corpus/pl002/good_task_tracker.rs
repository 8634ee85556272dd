//! A tracker waits for what it spawned.
pub async fn enqueue(State(app): State<App>, Json(job): Json<Job>) -> Result<StatusCode, ApiError> {
    let permit = app.limit.clone().try_acquire_owned().map_err(|_| ApiError::Busy)?;
    app.tracker.spawn(async move {
        job.run().await;
        drop(permit);
    });
    Ok(StatusCode::ACCEPTED)
}
