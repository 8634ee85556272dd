//! Nothing there: round again, at once, with a whole core.
pub async fn pump(mut inbox: Receiver<Job>, mut out: Sender<Done>) {
    loop {
        futures::select! { //~ PL017
            job = inbox.next() => run(job, &mut out).await,
            default => {}
        }
    }
}
