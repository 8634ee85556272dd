//! A set of futures has no bound by itself.
use futures::stream::{FuturesUnordered, StreamExt};

pub async fn ping(peers: &[Peer]) -> usize {
    let mut pings = peers.iter().map(Peer::ping).collect::<FuturesUnordered<_>>(); //~ PL005 medium
    let mut alive = 0;
    while let Some(result) = pings.next().await {
        alive += usize::from(result.is_ok());
    }
    alive
}
