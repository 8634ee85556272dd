//! At most ten, whatever comes.
pub async fn probe(peers: Vec<Peer>) -> Vec<Status> {
    let mut probes = Vec::new();
    for peer in peers.into_iter().take(10) {
        probes.push(tokio::spawn(async move { peer.probe().await }));
    }
    let mut statuses = Vec::new();
    for probe in probes {
        statuses.extend(probe.await);
    }
    statuses
}
