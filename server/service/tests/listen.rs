//! Listening and admission over real sockets.

#![expect(clippy::unwrap_used, reason = "a step that fails must fail the test")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use http::StatusCode;
use plimsoll::registry;
use plimsoll_service::admission::{Admission, Limits};
use plimsoll_service::drain::Drain;
use plimsoll_service::listen::{Counts, Listener, Options, Served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(600);

struct Server {
    address: std::net::SocketAddr,
    drain: Drain,
    counts: Counts,
    task: JoinHandle<Served>,
}

impl Server {
    async fn start(name: &'static str, router: Router, change: impl FnOnce(&mut Options)) -> Self {
        Self::start_draining_within(name, router, LONG, change).await
    }

    async fn start_draining_within(
        name: &'static str,
        router: Router,
        within: Duration,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options {
            name,
            connections: 64,
            head_timeout: LONG,
            head_bytes_max: 8_192,
            answer_timeout: LONG,
        };
        change(&mut options);
        let (drain, counts) = (Drain::new(within), Counts::new());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), options, counts.clone()).await.unwrap();
        let address = listener.address();
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and joins it")]
        let task = tokio::spawn(listener.serve(router, drain.clone()));
        Self { address, drain, counts, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends the text on a connection of its own and reads the answer to the end.
    async fn ask(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        rest(&mut socket).await
    }

    async fn end(self) -> Served {
        self.drain.begin();
        self.task.await.unwrap()
    }
}

async fn rest(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A server that cuts may reset the connection: what came until then counts.
    let _ = socket.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

fn get_once(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

fn in_use(name: &str) -> u64 {
    registry::snapshot().iter().find(|bound| bound.name.as_str() == name).unwrap().in_use
}

/// Lets the tasks of the server run until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A handler that enters, tells so, and stays until it is let go.
fn gate() -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, wait) = (Arc::clone(&entered), Arc::clone(&go));
    let handler = move || {
        let (inside, wait) = (Arc::clone(&inside), Arc::clone(&wait));
        async move {
            inside.add_permits(1);
            wait.acquire().await.unwrap().forget();
            "done"
        }
    };
    (Router::new().route("/gate", get(handler)), entered, go)
}

#[tokio::test]
async fn it_serves_and_counts_by_status() {
    let server =
        Server::start("listen-serves", Router::new().route("/", get(|| async { "hello" })), |_| {}).await;
    let answer = server.ask(&get_once("/")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert!(server.ask(&get_once("/missing")).await.starts_with("HTTP/1.1 404"));
    let counts = server.counts.clone();
    assert_eq!((counts.responses(StatusCode::OK), counts.responses(StatusCode::NOT_FOUND)), (1, 1));
    assert_eq!(server.end().await, Served { cut: 0 });
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_cut_and_so_is_an_idle_one() {
    let timeout = Duration::from_millis(50);
    let router = Router::new().route("/", get(|| async { "hello" }));
    let server = Server::start("listen-slow", router, |options| options.head_timeout = timeout).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    assert!(!rest(&mut slow).await.contains("200"), "ends without an answer");
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answers = rest(&mut idle).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "answered, kept, then closed: {answers}");
    until(|| in_use("listen-slow") == 0).await;
    server.end().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start("listen-large", Router::new(), |_| {}).await;
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(20_000));
    assert!(!server.ask(&request).await.contains("404"));
    let many: String = (0..200).map(|number| format!("h{number}: x\r\n")).collect();
    let answer = server.ask(&format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.end().await;
}

#[tokio::test]
async fn the_bound_on_connections_holds_and_the_next_waits_its_turn() {
    let (router, entered, go) = gate();
    let server = Server::start("listen-bound", router, |options| options.connections = 2).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    let mut third = server.connect().await;
    for socket in [&mut first, &mut second, &mut third] {
        socket.write_all(get_once("/gate").as_bytes()).await.unwrap();
    }
    entered.acquire_many(2).await.unwrap().forget();
    assert_eq!((in_use("listen-bound"), entered.available_permits()), (2, 0));
    go.add_permits(1);
    // One ended: the third is accepted in its place.
    entered.acquire().await.unwrap().forget();
    assert_eq!(in_use("listen-bound"), 2);
    go.add_permits(2);
    for socket in [&mut first, &mut second, &mut third] {
        assert!(rest(socket).await.ends_with("done"));
    }
    server.end().await;
}

#[tokio::test]
async fn a_panic_of_a_handler_is_one_500_and_the_connection_goes_on() {
    let panics = |fail: bool| async move {
        assert!(!fail, "a handler fails");
        "well"
    };
    let router =
        Router::new().route("/fails", get(move || panics(true))).route("/works", get(move || panics(false)));
    let server = Server::start("listen-panics", router, |_| {}).await;
    let requests = format!("GET /fails HTTP/1.1\r\nhost: x\r\n\r\n{}", get_once("/works"));
    let answers = server.ask(&requests).await;
    assert!(answers.starts_with("HTTP/1.1 500") && answers.ends_with("well"), "{answers}");
    assert_eq!(server.counts.panics(), 1);
    server.end().await;
}

#[tokio::test]
async fn overload_is_503_with_retry_after_at_once() {
    let admission = Admission::new(Limits { requests: 1, ..Limits::default() }).unwrap();
    let (router, entered, go) = gate();
    let server = Server::start("listen-overload", router.layer(admission.layer()), |_| {}).await;
    let mut first = server.connect().await;
    first.write_all(get_once("/gate").as_bytes()).await.unwrap();
    entered.acquire().await.unwrap().forget();
    let refused = server.ask(&get_once("/gate")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains(r#""code":"overloaded""#), "{refused}");
    go.add_permits(1);
    assert!(rest(&mut first).await.ends_with("done"));
    server.end().await;
}

#[tokio::test]
async fn bodies_are_capped_and_slow_ones_are_408() {
    let limits = Limits {
        body_bytes_max: 1_000,
        bytes: 10_000,
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let admission = Admission::new(limits).unwrap();
    let router =
        Router::new().route("/", post(async |body: Bytes| body.len().to_string())).layer(admission.bodies());
    let server = Server::start("listen-bodies", router, |_| {}).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let whole = server.ask(&format!("{head}content-length: 5\r\n\r\nhello")).await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with('5'), "{whole}");
    let chunked = server
        .ask(&format!("{head}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"))
        .await;
    assert!(chunked.ends_with('5'), "{chunked}");
    let declared = server.ask(&format!("{head}content-length: 1001\r\nexpect: 100-continue\r\n\r\n")).await;
    assert!(declared.starts_with("HTTP/1.1 413"), "refused before it is asked for: {declared}");
    let big = "x".repeat(1_001);
    let chunked =
        server.ask(&format!("{head}transfer-encoding: chunked\r\n\r\n3e9\r\n{big}\r\n0\r\n\r\n")).await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
    let mut slow = server.connect().await;
    slow.write_all(format!("{head}content-length: 5\r\n\r\nhe").as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
    server.end().await;
}

#[tokio::test]
async fn a_drain_lets_the_request_in_progress_finish_and_takes_no_other() {
    let (router, entered, go) = gate();
    let server = Server::start("listen-drain", router, |_| {}).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut idle = server.connect().await;
    entered.acquire().await.unwrap().forget();
    until(|| in_use("listen-drain") == 2).await;
    server.drain.begin();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    go.add_permits(1);
    let answer = rest(&mut busy).await;
    assert!(answer.contains("connection: close") && answer.ends_with("done"), "{answer}");
    let address = server.address;
    assert_eq!(server.end().await, Served { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_has_not_finished_by_the_deadline_is_cut_and_counted() {
    let (router, entered, _go) = gate();
    let server = Server::start_draining_within("listen-cut", router, Duration::ZERO, |_| {}).await;
    let mut stuck = server.connect().await;
    stuck.write_all(get_once("/gate").as_bytes()).await.unwrap();
    entered.acquire().await.unwrap().forget();
    assert_eq!(server.end().await, Served { cut: 1 });
    assert_eq!(rest(&mut stuck).await, "");
}

#[tokio::test]
async fn an_address_in_use_is_refused_by_name() {
    let server = Server::start("listen-taken", Router::new(), |_| {}).await;
    let options = Options {
        name: "listen-taken-2",
        connections: 1,
        head_timeout: LONG,
        head_bytes_max: 8_192,
        answer_timeout: LONG,
    };
    let refused = Listener::bind(server.address, options, Counts::new()).await.unwrap_err().to_string();
    assert!(
        refused.contains(&server.address.to_string()) && refused.contains("another process"),
        "{refused}"
    );
    server.end().await;
}
