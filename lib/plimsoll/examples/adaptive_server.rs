//! A server on TCP with eight workers, called at half, once and three times what it can do, through each
//! algorithm of `plimsoll::adaptive`.
//!
//! `cargo run --release -p plimsoll --example adaptive_server`: takes two minutes. Calls begin whether
//! others have ended or not; one that is refused is lost, one of more than a second has failed.

use std::error::Error;
use std::time::Duration;

use plimsoll::Outcome;
use plimsoll::adaptive::{Adaptive, Aimd, Builder, Gradient2, Knee, Vegas, Windowed};
use plimsoll::clock;
use plimsoll::semaphore::Semaphore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const WORKERS: u64 = 8;
const WORK: Duration = Duration::from_millis(10);
/// What it can do in a second, were the timer exact.
const CAPACITY: f64 = WORKERS as f64 / 0.01;
const RUN: Duration = Duration::from_secs(8);
/// Nothing is measured before.
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(1);
/// More calls than this at once are not begun, whatever the limiter says.
const CALLS_MAX: usize = 2_000;

type With = fn(Builder) -> Builder;

const ALGORITHMS: [(&str, With); 5] = [
    ("Knee", |builder| builder.algorithm(Knee::new())),
    ("Aimd", |builder| builder.algorithm(Aimd::new())),
    ("Vegas", |builder| builder.algorithm(Vegas::new())),
    ("Gradient2", |builder| builder.algorithm(Gradient2::new())),
    ("Gradient2, windows of 100 ms", |builder| {
        builder.algorithm(Windowed::new(Gradient2::new(), Duration::from_millis(100)))
    }),
];

/// Answers each byte after a worker had it: first come first served, and the queue has no end but that of
/// its callers.
async fn serve(listener: TcpListener) {
    let workers = Semaphore::new(WORKERS).expect("eight are within the range of a semaphore");
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let workers = workers.clone();
        connections.spawn(async move {
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            let worker = workers.acquire().await;
            sleep(WORK).await;
            drop(worker);
            stream.write_all(&byte).await
        });
    }
}

async fn call(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[1]).await?;
    stream.read_exact(&mut [0]).await?;
    Ok(())
}

struct Measured {
    offered: f64,
    /// Those served within the second.
    latencies: Vec<Duration>,
    refused: f64,
    failed: f64,
    limit: u64,
}

async fn drive(adaptive: &Adaptive, load: f64) -> std::io::Result<Measured> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server = JoinSet::new();
    server.spawn(serve(listener));
    let mut calls = JoinSet::new();
    let mut measured = Measured { offered: 0.0, latencies: Vec::new(), refused: 0.0, failed: 0.0, limit: 0 };
    let (began, mut due) = (clock::now(), 0.0);
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let passed = clock::now().since(began);
        if passed >= RUN {
            break;
        }
        let counts = passed >= WARM_UP;
        while let Some(ended) = calls.try_join_next() {
            match ended {
                Ok(Some(latency)) if counts => measured.latencies.push(latency),
                Ok(None) if counts => measured.failed += 1.0,
                _ => {}
            }
        }
        while due < passed.as_secs_f64() {
            // As of a Poisson process.
            due -= fastrand::f64().max(1e-12).ln() / (load * CAPACITY);
            measured.offered += f64::from(u8::from(counts));
            let Some(permit) = (calls.len() < CALLS_MAX).then(|| adaptive.try_acquire_owned().ok()).flatten()
            else {
                measured.refused += f64::from(u8::from(counts));
                continue;
            };
            calls.spawn(async move {
                let began = clock::now();
                let answer = timeout(PATIENCE, call(address)).await;
                let served = matches!(answer, Ok(Ok(())));
                permit.finish(if served { Outcome::Success } else { Outcome::Failure });
                served.then(|| clock::now().since(began))
            });
        }
    }
    measured.limit = adaptive.limit();
    measured.latencies.sort_unstable();
    Ok(measured)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("| load | algorithm | goodput | p50 | p99 | refused | failed | limit at the end |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for load in [0.5, 1.0, 3.0] {
        for (name, with) in ALGORITHMS {
            let adaptive = with(Adaptive::builder("server").limits(1, 1_000)).build()?;
            let measured = drive(&adaptive, load).await?;
            let at = |share: f64| {
                let index = (measured.latencies.len() as f64 * share) as usize;
                measured.latencies.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
            };
            println!(
                "| {load} | {name} | {:.0}/s | {:.1} ms | {:.1} ms | {:.1} % | {:.1} % | {} |",
                measured.latencies.len() as f64 / (RUN - WARM_UP).as_secs_f64(),
                at(0.5),
                at(0.99),
                measured.refused / measured.offered * 100.0,
                measured.failed / measured.offered * 100.0,
                measured.limit,
            );
        }
    }
    Ok(())
}
