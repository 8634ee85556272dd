//! parking_lot's.
use parking_lot::RwLock;

pub async fn broadcast(State(app): State<App>, peers: &RwLock<Vec<Peer>>, message: Message) {
    let peers = peers.read();
    for peer in peers.iter() {
        peer.send(message.clone()).await; //~ PL014
    }
}
