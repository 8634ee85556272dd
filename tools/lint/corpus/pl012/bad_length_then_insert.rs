//! A bound that a hundred threads pass at once.
pub fn admit(State(app): State<App>, id: ConnectionId, connections: &DashMap<ConnectionId, Connection>) -> bool {
    if connections.len() < CONNECTIONS_MAX { //~ PL012
        connections.insert(id, Connection::new());
        true
    } else {
        false
    }
}
