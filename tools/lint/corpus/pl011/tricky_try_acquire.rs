//! Taken without waiting, held all the same.
pub async fn probe(gate: &Semaphore, peer: &Peer) -> Option<Status> {
    let Ok(_permit) = gate.try_acquire() else { return None };
    while !peer.is_ready() {
        tokio::time::sleep(Duration::from_millis(100)).await; //~ PL011
    }
    peer.status().await.ok()
}
