//! A directory of directories: the tree says how many tasks.
fn walk(path: PathBuf, found: mpsc::Sender<PathBuf>) -> BoxFuture<'static, ()> {
    async move {
        let Ok(mut entries) = tokio::fs::read_dir(&path).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.path().is_dir() {
                let found = found.clone();
                tokio::spawn(async move { walk(entry.path(), found).await }); //~ PL003
            } else {
                let _ = found.send(entry.path()).await;
            }
        }
    }
    .boxed()
}
