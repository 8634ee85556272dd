//! The same without the macro.
pub async fn drain(mut queue: mpsc::Receiver<Job>, worker: &Worker) {
    loop {
        match queue.try_recv() { //~? PL017
            Ok(job) => worker.run(job).await,
            Err(TryRecvError::Empty) => tokio::task::yield_now().await,
            Err(TryRecvError::Disconnected) => return,
        }
    }
}
