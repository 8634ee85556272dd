//! As many as the configuration names: the operator's number, not a stranger's.
pub async fn start_all(config: Config, hub: Arc<Hub>) -> Vec<JoinHandle<()>> {
    let mut handles = Vec::new();
    for upstream in config.upstreams {
        let hub = hub.clone();
        handles.push(tokio::spawn(async move { hub.follow(upstream).await })); //~? PL001
    }
    handles
}
