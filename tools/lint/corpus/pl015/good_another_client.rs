//! A client of another kind.
use crate::redis::Client;

pub fn cache() -> Client {
    Client::new()
}
