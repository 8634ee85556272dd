//! `plimsoll load`: our own server holds its bound, one that queues without a bound does not, and it is
//! said why.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

#[expect(unused_imports, reason = "shared with other tests; no endpoint is needed here")]
mod harness;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::client::Connection;
use harness::{Server, make, token};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const TIMEOUT: Duration = Duration::from_secs(20);
/// What the unbounded server takes for each request, one after the other: 50 a second at best.
const WORK: Duration = Duration::from_millis(20);

async fn load(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.arg("load").args(arguments).kill_on_drop(true).output().await;
    output.expect("the binary can be started")
}

/// The run that was printed, and what was said beside it.
fn run(output: &Output) -> (Value, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout);
    (json.unwrap_or_else(|error| panic!("no JSON object: {error}\n{said}")), said)
}

fn state<'run>(run: &'run Value, name: &str) -> &'run str {
    let assertions = run["assertions"].as_array().unwrap();
    let assertion = assertions.iter().find(|assertion| assertion["name"] == name);
    assertion.unwrap_or_else(|| panic!("{name} is not asserted"))["state"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_server_holds_the_rate_that_it_promises() {
    let directory = tempfile::tempdir().unwrap();
    // 100 a second, and what a machine that stood still for a second catches up with.
    let settings = ["log=warn", "tenant.requests_per_second=100", "tenant.burst=100"];
    let mut server = Server::start(directory.path(), "127.0.0.1:0".parse().unwrap(), &settings);
    let (listen, admin) = server.ready_with_admin().await;
    let token = token(directory.path()).await;
    let mut connection = Connection::new(listen, TIMEOUT).with_token(&token);
    let app = make(&mut connection, "/api/v1/app", &json!({ "name": "Acme" })).await;
    drop(connection);

    let page = directory.path().join("load.html");
    let output = load(&[
        &format!("http://{listen}/api/v1/app/{app}/msg"),
        "--bound",
        "100",
        "--minutes",
        "0.2",
        "--p99-ms",
        "3000",
        "-H",
        &format!("authorization: Bearer {token}"),
        "-H",
        "content-type: application/json",
        "-d",
        &json!({ "eventType": "load.test", "payload": { "n": 1 } }).to_string(),
        "--metrics",
        &format!("http://{admin}/metrics"),
        "--report",
        page.to_str().unwrap(),
        "--json",
    ])
    .await;
    let (run, said) = run(&output);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", server.log());
    assert_eq!((&run["version"], &run["verdict"]), (&json!(1), &json!("held")));
    for assertion in run["assertions"].as_array().unwrap() {
        assert_eq!(assertion["state"], "held", "{assertion}");
    }
    assert!(run["stages"][1]["counts"]["refused"].as_u64() > Some(0), "{said}");
    assert!(
        !output.stdout.windows(token.len()).any(|part| part == token.as_bytes()),
        "the token is in the run"
    );
    is_a_page_that_stands_alone(&page, &token);
    assert!(server.runs(), "it ended:\n{}", server.log());
}

fn is_a_page_that_stands_alone(page: &Path, secret: &str) {
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("coordinated omission")
    );
    assert!(!page.contains("src=") && !page.contains("<link") && !page.contains(secret));
}

/// A server that starts a task for each connection and lets every request wait for the one worker there
/// is, however many wait already.
async fn unbounded() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let worker = Arc::new(Mutex::new(()));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let worker = Arc::clone(&worker);
            connections.spawn(async move {
                let service = service_fn(move |_: Request<Incoming>| {
                    let worker = Arc::clone(&worker);
                    async move {
                        let _turn = worker.lock().await;
                        tokio::time::sleep(WORK).await;
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
                    }
                });
                // The load ends its connections as it likes.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_queues_without_a_bound_does_not_hold_and_it_is_said_why() {
    let (address, _tasks) = unbounded().await;
    let url = format!("http://{address}/");
    let output = load(&[&url, "--bound", "50", "--minutes", "0.2", "--p99-ms", "500", "--json"]).await;
    let (run, said) = run(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(run["verdict"], "broken");
    assert_eq!(
        (state(&run, "overload.refuses"), state(&run, "overload.p99")),
        ("broken", "broken"),
        "{said}"
    );
    assert_eq!(state(&run, "overload.retry_after"), "not_checked");
    // Nothing was said of where to read its memory: it is not held by silence.
    assert_eq!(state(&run, "overload.memory"), "not_checked");
    assert!(said.contains("--metrics URL"), "{said}");
}

#[tokio::test]
async fn a_wrong_call_and_a_target_that_is_not_there_have_codes_of_their_own() {
    // A port that is given to nobody; a free one might be somebody's a moment later.
    let url = "http://127.0.0.1:1/".to_owned();
    for (arguments, code, told) in [
        (vec![url.as_str()], 2, "--find-bound"),
        (vec![url.as_str(), "--bound", "0"], 2, "bound is 0, allowed is"),
        (vec![url.as_str(), "--bound", "5", "--metrics", "nowhere"], 2, "metrics is nowhere"),
        (vec!["--compare", "/nowhere/a", "/nowhere/b"], 2, "/nowhere/a"),
        (vec![url.as_str(), "--bound", "5"], 3, &url[..url.len() - 1]),
    ] {
        let output = load(&arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
