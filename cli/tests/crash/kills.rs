//! `kill -9` at random moments.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use crate::harness::{Receivers, Server};
use crate::world::{ANYWHERE, ENDPOINTS, SETTINGS, TENANTS, World, random, rounds, some_fail};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_kill_nine_at_any_moment() {
    let mut random = random();
    let kills = rounds(24);
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(some_fail).await;
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), SETTINGS);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (TENANTS, ENDPOINTS)).await;
    world.some_later.store(true, Ordering::Relaxed);
    let senders = world.begin();

    for kill in 0..kills {
        // One in four while it starts, one in six as soon as it listens, the others under load.
        match random.u32(..12) {
            0..3 if kill > 0 => sleep(Duration::from_millis(random.u64(..120))).await,
            3..5 if kill > 0 => drop(server.ready().await),
            _ => {
                if kill > 0 {
                    server.ready().await;
                }
                sleep(Duration::from_millis(random.u64(50..1_500))).await;
            }
        }
        assert!(server.kill().await, "the server ended by itself before kill {kill}:\n{}", server.log());
        server = Server::start(directory.path(), listen, SETTINGS);
    }
    server.ready().await;
    world.end(senders).await;
    world.check(&receivers, &server, kills).await;
    let accepted = world.accepted.load(Ordering::Relaxed);
    assert!(accepted > 100, "only {accepted} events: the load was not there to be interrupted");
    assert!(server.runs(), "the server ended by itself:\n{}", server.log());
}
