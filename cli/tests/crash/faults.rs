//! `kill -9` at every boundary of a commit, the log torn where it was not synced, and a wall clock
//! that is set while the server runs.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::harness::client::Connection;
use crate::harness::{Receivers, Server};
use crate::world::{
    ANYWHERE, ENDPOINTS, SETTINGS, SIGKILL, TENANTS, TRY_TIMEOUT, World, in_seconds, random, rounds,
    some_fail,
};

/// The engine's log: a header, then frames of a header and a page.
const LOG_HEADER: u64 = 32;
const FRAME: u64 = 24 + 4_096;
/// From here on the log may be on its way into the table file, which would have synced it first.
const WRITTEN_BACK_FROM: u64 = 2_048;
/// Kinds of commits, and how soon each comes again: the fault comes at one of the first so many.
const KINDS: [(&str, u64); 4] = [("accept", 40), ("record", 40), ("change", 12), ("release", 4)];

/// The pages of the log that the last commit before a kill wrote; none of them has an answer.
fn unsynced(log: &str) -> Option<(u64, u64)> {
    let line = log.lines().rfind(|line| line.starts_with("fault "))?;
    let (begun, ended) = line.rsplit_once("log_pages=")?.1.split_once("..")?;
    let (begun, ended) = (begun.parse().ok()?, ended.parse().ok()?);
    // Where the log began again there is nothing before them.
    let begun = if ended > begun { begun } else { 0 };
    (ended < WRITTEN_BACK_FROM).then_some((begun, ended))
}

/// What the end of power does to pages that were written and not synced: they are there in part.
/// Returns how it was done.
fn tear(directory: &Path, (begun, ended): (u64, u64), random: &mut fastrand::Rng) -> &'static str {
    let file = File::options().read(true).write(true).open(directory.join("data/plimsoll.db-wal")).unwrap();
    let (from, to) = (LOG_HEADER + begun * FRAME, LOG_HEADER + ended * FRAME);
    assert!(from < to && to <= file.metadata().unwrap().size(), "{from}..{to} is not in the log");
    match random.u32(..4) {
        0 => {
            file.set_len(to - FRAME / 2).unwrap();
            "last frame half there"
        }
        1 => {
            file.set_len(random.u64(from..to)).unwrap();
            "cut off anywhere"
        }
        2 => {
            for _ in 0..16 {
                file.write_all_at(&[random.u8(..)], random.u64(from..to)).unwrap();
            }
            "bytes changed"
        }
        _ => {
            let page = from + FRAME * random.u64(..ended - begun);
            file.write_all_at(&[0; FRAME as usize], page).unwrap();
            "a frame of zeros"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_a_kill_at_every_boundary_of_a_commit_and_a_torn_log() {
    let mut random = random();
    let kills = rounds(12);
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start(some_fail).await;
    let mut server = Server::start(directory.path(), ANYWHERE.parse().unwrap(), SETTINGS);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (TENANTS, ENDPOINTS)).await;
    world.some_later.store(true, Ordering::Relaxed);
    let senders = world.begin();
    let mut torn = 0;

    for kill in 0..kills {
        assert!(server.kill().await, "the server ended by itself:\n{}", server.log());
        // Each kind at each boundary, over and over.
        let (kind, soon) = KINDS[(kill % 4) as usize];
        let when = ["between", "before", "after"][(kill / 4 % 3) as usize];
        let fault = format!("{kind}.{when}:{}=kill", random.u64(1..=soon));
        server = Server::start_with_fault(directory.path(), listen, SETTINGS, &fault);
        let status = server.ended().await;
        assert_eq!(status.signal(), Some(SIGKILL), "{fault}: {status}\n{}", server.log());
        let mut how = "left as it is";
        if when == "between"
            && let Some(pages) = unsynced(&server.log())
        {
            how = tear(directory.path(), pages, &mut random);
            torn += 1;
        }
        println!("crash test: {fault}: {how}");
        server = Server::start(directory.path(), listen, SETTINGS);
        server.ready().await;
    }
    world.end(senders).await;
    println!("crash test: {torn} logs torn");
    // Each kill at a fault is followed by one from outside.
    world.check(&receivers, &server, 2 * kills).await;
    assert!(torn > 0, "no log was torn:\n{}", server.log());
    assert!(server.runs(), "the server ended by itself:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_is_set_back_and_forward_neither_stalls_nor_repeats_anything() {
    let directory = tempfile::tempdir().unwrap();
    let receivers = Receivers::start_by_their_clock(some_fail).await;
    let fault = "accept.after:60=clock-3600,accept.after:140=clock+7200,accept.after:220=clock-3600";
    let mut server = Server::start_with_fault(directory.path(), ANYWHERE.parse().unwrap(), SETTINGS, fault);
    let listen = server.ready().await;
    let world = World::set_up(directory.path(), listen, &receivers, (TENANTS, ENDPOINTS)).await;
    let mut connection = Connection::new(listen, TRY_TIMEOUT).with_token(&world.token);
    let path = format!("/api/v1/app/{}/msg", world.apps[0]);
    // Delivered long after the test, whichever way the clock is set: it is only there to be repeated.
    let later = in_seconds(48 * 3_600);
    let body = json!({ "eventType": "crash.repeated", "payload": {}, "deliverAt": later });
    let first = world.post(&mut connection, &path, "repeated", &body, 202).await;
    let senders = world.begin();
    let mut jumps = 0;
    while jumps < 3 {
        sleep(Duration::from_millis(50)).await;
        assert!(server.runs(), "the server ended by itself:\n{}", server.log());
        let seen = server.log().lines().filter(|line| line.starts_with("fault ")).count();
        if seen > jumps {
            jumps = seen;
            let again = world.post(&mut connection, &path, "repeated", &body, 202).await;
            assert_eq!(again["id"], first["id"], "a repeat after jump {jumps}");
        }
    }
    let accepted = world.accepted.load(Ordering::Relaxed);
    while world.accepted.load(Ordering::Relaxed) < accepted + 60 {
        sleep(Duration::from_millis(50)).await;
    }
    world.end(senders).await;
    world.check(&receivers, &server, 0).await;
}
