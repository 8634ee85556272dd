//! Spawned so that a panic is caught, and awaited at once: one at a time.
pub async fn run_all(steps: Vec<Step>) -> Vec<Result<(), JoinError>> {
    let mut results = Vec::new();
    for step in steps {
        results.push(tokio::spawn(step.run()).await);
    }
    results
}
