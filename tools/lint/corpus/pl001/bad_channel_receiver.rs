//! The channel is bounded, what is taken from it is not: each message leaves it at once.
use tokio::sync::mpsc;

pub async fn run(mut jobs: mpsc::Receiver<Job>, db: Pool) {
    while let Some(job) = jobs.recv().await {
        let db = db.clone();
        tokio::spawn(async move { //~ PL001 high
            job.run(&db).await;
        });
    }
}
