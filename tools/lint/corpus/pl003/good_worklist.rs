//! A list of what is left, and a join set with a length.
pub async fn crawl(site: Arc<Site>, start: Url) {
    let mut todo = VecDeque::from([start]);
    let mut running = JoinSet::new();
    loop {
        while running.len() < 16 {
            let Some(url) = todo.pop_front() else { break };
            let site = site.clone();
            running.spawn(async move { site.links(url).await });
        }
        match running.join_next().await {
            Some(Ok(links)) => todo.extend(site.unseen(links)),
            Some(Err(_)) => {}
            None => return,
        }
    }
}
