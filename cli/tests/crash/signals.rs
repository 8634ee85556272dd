//! SIGTERM, once and twice, and a second server on the same data.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::client::Connection;
use crate::harness::{Receivers, Reply, Server};
use crate::world::{ANYWHERE, TRY_TIMEOUT, World, settle};

#[tokio::test]
async fn sigterm_finishes_what_runs_and_keeps_the_rest() {
    const EVENTS: u64 = 30;
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(|_| Reply { delay: Duration::from_millis(400), status: 200 }).await;
    let settings = ["hooks.endpoint_concurrency=2", "log=warn"];
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &settings);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (1, 1)).await;
    let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&world.token);
    for event in 0..EVENTS {
        world.send(&mut connection, event).await;
    }
    world.next.store(EVENTS, Ordering::Relaxed);

    let running = |receivers: &Receivers| {
        let books = receivers.books();
        let running = books.deliveries.iter().filter(|(_, (seen, taken))| seen > taken);
        running.map(|((_, event), _)| *event).collect::<Vec<_>>()
    };
    while running(&receivers).is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let in_flight = running(&receivers);
    server.terminate();
    let status = server.ended().await;
    assert!(status.success(), "{status}\n{}", server.log());
    let after = receivers.books().clone();
    assert!(in_flight.iter().all(|event| after.has(0, *event)), "cut off: {in_flight:?}, {after:?}");
    assert!(after.delivered() < EVENTS as usize, "nothing was left to keep");

    let mut server = Server::start(directory.path(), listen, &settings);
    server.ready().await;
    assert_eq!(settle(&world, &receivers, 1).await, [], "{}", server.log());
    assert_eq!(receivers.books().duplicates, 0, "what was finished in the drain is not sent again");
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(|_| Reply { delay: Duration::from_secs(3_600), status: 200 }).await;
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (1, 1)).await;
    let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&world.token);
    world.send(&mut connection, 0).await;
    while receivers.books().deliveries.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    server.terminate();
    sleep(Duration::from_millis(500)).await;
    assert!(server.runs(), "it waits for the delivery that runs");
    let before = Instant::now();
    server.terminate();
    server.ended().await;
    // The delivery would have had 15 s more: this is not about how fast the machine is.
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    first.ready().await;
    let mut second = Server::start(directory.path(), ANYWHERE.parse().unwrap(), &["log=warn"]);
    let status = second.ended().await;
    assert!(!status.success(), "{status}");
    let log = second.log();
    let data = directory.path().join("data");
    assert!(log.contains(&data.display().to_string()), "the error names the directory:\n{log}");
    assert!(first.runs(), "the first goes on:\n{log}");
}
