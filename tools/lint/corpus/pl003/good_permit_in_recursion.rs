//! As many tasks as there are permits; without one the work is done here.
fn index(folder: Folder, limit: Arc<Semaphore>) -> BoxFuture<'static, ()> {
    async move {
        let mut tasks = JoinSet::new();
        for child in folder.children().await {
            match limit.clone().try_acquire_owned() {
                Ok(permit) => {
                    let limit = limit.clone();
                    tasks.spawn(async move {
                        index(child, limit).await;
                        drop(permit);
                    });
                }
                Err(_) => index(child, limit.clone()).await,
            }
        }
        while tasks.join_next().await.is_some() {}
    }
    .boxed()
}
