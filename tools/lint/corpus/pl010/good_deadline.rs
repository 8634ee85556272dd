//! Until a moment that comes.
pub async fn wait_for_leader(cluster: &Cluster, deadline: Instant) -> Result<Leader, Error> {
    loop {
        match cluster.leader().await {
            Ok(leader) => return Ok(leader),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
