//! Events to a hundred endpoints each: the server's whole way of them, from the request that hands one in to
//! the record of its last delivery, beside hyper that posts as many to the same receivers and keeps
//! nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use plimsoll::group::Group;
use plimsoll_hooks::overrides::Differing;
use plimsoll_hooks::settings::{SETTINGS, Settings};
use plimsoll_hooks::{Hooks, Host};
use plimsoll_service::auth::Caller;
use plimsoll_service::config::{Inputs, Resolved};
use plimsoll_store::{Options, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::pair::{Bench, Pair};

/// Endpoints that each event goes to, each a destination of its own.
const ENDPOINTS: usize = 100;
/// Connections of the peer, each with one delivery under way: what the server allows a tenant by default.
const CONNECTIONS: usize = 64;
/// Connections that the receivers hold.
const RECEIVED_AT_ONCE: usize = 4_096;
const PAYLOAD: &str = r#"{"id":"in_1","amount":4200,"currency":"eur","lines":[1,2,3,4,5,6,7,8]}"#;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "hooks_event_to_100",
    peer: "hyper",
    // Six tenths of the deliveries that the machine can make with nothing recorded.
    goal: 1.0 / 0.6,
    // What is lost by a crash there is lost.
    gated: false,
    ours,
    theirs,
}];

/// Receivers on this machine that take everything.
struct Receivers {
    addresses: Vec<SocketAddr>,
    taken: Arc<Taken>,
    _tasks: Group<io::Result<()>>,
}

#[derive(Default)]
struct Taken {
    count: AtomicU64,
    // That which somebody waits for.
    wanted: AtomicU64,
    reached: Notify,
}

impl Receivers {
    async fn start() -> Self {
        let taken = Arc::new(Taken::default());
        let mut tasks = Group::new(ENDPOINTS).expect("some endpoints");
        let mut addresses = Vec::with_capacity(ENDPOINTS);
        for _ in 0..ENDPOINTS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push(listener.local_addr().expect("it is bound"));
            tasks.spawn(receive(listener, Arc::clone(&taken))).await;
        }
        Self { addresses, taken, _tasks: tasks }
    }
}

impl Taken {
    fn one_more(&self) {
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if count == self.wanted.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    /// Says that so many more will come; then they can be waited for.
    fn expect(&self, more: u64) -> u64 {
        let wanted = self.count.load(Ordering::Acquire) + more;
        self.wanted.store(wanted, Ordering::Release);
        wanted
    }

    async fn wait(&self, wanted: u64) {
        while self.count.load(Ordering::Acquire) < wanted {
            self.reached.notified().await;
        }
        assert_eq!(self.count.load(Ordering::Acquire), wanted, "each is delivered once");
    }
}

async fn receive(listener: TcpListener, taken: Arc<Taken>) -> io::Result<()> {
    let mut connections: Group<()> = Group::new(RECEIVED_AT_ONCE / ENDPOINTS).map_err(io::Error::other)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let taken = Arc::clone(&taken);
        // Whoever hangs up midway is missed by the count.
        connections.spawn(async move { drop(answer(stream, &taken).await) }).await;
    }
}

/// Answers each request whose body has come whole.
async fn answer(mut stream: TcpStream, taken: &Taken) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        while let Some(length) = whole(&buffer) {
            buffer.drain(..length);
            taken.one_more();
            stream.write_all(OK).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// How long the request at the beginning is, where all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&buffer[..head]).expect("a head is text");
    let body: usize = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().expect("a length is a number"));
    Some(head + 4 + body).filter(|whole| *whole <= buffer.len())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads can be started")
}

fn ours() -> Bench {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (receivers, hooks, router) = runtime.block_on(async {
        let receivers = Receivers::start().await;
        let store =
            Store::open(Options { directory: directory.path().to_owned() }).await.expect("a fresh store");
        let (settings, nobody) = (settings(), Differing::default());
        let hooks = Hooks::start(store, &settings, &nobody, Host { sockets_max: 1_024 }).await;
        let hooks = hooks.expect("the settings are good");
        let router = hooks.router();
        post(&router, "app", r#"{"name":"App","uid":"app"}"#.to_owned()).await;
        for address in &receivers.addresses {
            post(&router, "app/app/endpoint", format!(r#"{{"url":"http://{address}/"}}"#)).await;
        }
        (receivers, hooks, router)
    });
    Box::new(move |operations| {
        // Kept whole as long as the bench.
        let (_directory, _hooks, receivers) = (&directory, &hooks, &receivers);
        runtime.block_on(async {
            let wanted = receivers.taken.expect(operations * ENDPOINTS as u64);
            let router = router.clone();
            let events = plimsoll::map(0..operations, 8, move |_| {
                let router = router.clone();
                async move {
                    post(&router, "app/app/msg", format!(r#"{{"eventType":"a","payload":{PAYLOAD}}}"#)).await;
                    Ok::<_, ()>(())
                }
            });
            events.await.expect("each is accepted");
            receivers.taken.wait(wanted).await;
        });
    })
}

fn settings() -> Settings {
    let flags = vec![("allow_private".into(), "127.0.0.0/8".into(), "versus".into())];
    let tables = [plimsoll_service::settings::SETTINGS, SETTINGS];
    let resolved = Resolved::load(&tables, Inputs { flags, ..Inputs::default() }).expect("a good setting");
    Settings::resolve(&resolved).expect("the defaults are good")
}

async fn post(router: &Router, path: &str, body: String) {
    let request = Request::post(format!("/api/v1/{path}")).extension(Caller { org: "versus".into() });
    let response = router.clone().oneshot(request.body(Body::from(body)).expect("a request")).await;
    let response = response.expect("a router always answers");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a small body");
    assert!(status.is_success(), "{path} is answered with {status}: {body:?}");
}

fn theirs() -> Bench {
    let runtime = runtime();
    let receivers = runtime.block_on(Receivers::start());
    // Kept between the passes, as the server keeps its own.
    let mut idle: Vec<Wire> = runtime.block_on(async {
        let mut open = Vec::with_capacity(CONNECTIONS);
        for address in &receivers.addresses[..CONNECTIONS] {
            open.push(Wire::open(*address).await);
        }
        open
    });
    Box::new(move |operations| {
        // Kept whole as long as the bench.
        let receivers = &receivers;
        runtime.block_on(async {
            let deliveries = operations * ENDPOINTS as u64;
            let wanted = receivers.taken.expect(deliveries);
            let (each, more) = (deliveries / CONNECTIONS as u64, deliveries % CONNECTIONS as u64);
            let mut posting = Group::new(CONNECTIONS).expect("some connections");
            for (number, wire) in idle.drain(..).enumerate() {
                let count = each + u64::from((number as u64) < more);
                posting.spawn(async move { Ok::<_, ()>(wire.post(count).await) }).await;
            }
            idle.extend(posting.join().await.expect("none fails"));
            receivers.taken.wait(wanted).await;
        });
    })
}

/// A connection of hyper's, which its owner drives.
struct Wire {
    to: SocketAddr,
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

impl Wire {
    async fn open(to: SocketAddr) -> Self {
        // plimsoll: allow(no-timeout) to a receiver of this process, on this machine
        let stream = TcpStream::connect(to).await.expect("it listens");
        stream.set_nodelay(true).expect("it is open");
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.expect("nothing is sent yet");
        Self { to, sender, driver }
    }

    /// Posts so many deliveries, signed long ago.
    async fn post(self, count: u64) -> Self {
        let Self { to, mut sender, mut driver } = self;
        let posting = async {
            for _ in 0..count {
                let request = Request::post("/")
                    .header(header::HOST, to.to_string())
                    .header(header::CONTENT_TYPE, "application/json")
                    .header("webhook-id", "msg_2b0RyNXBxtVq3UcF1jR0wS9hzzW")
                    .header("webhook-timestamp", "1700000000")
                    .header("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")
                    .body(Full::new(Bytes::from_static(PAYLOAD.as_bytes())));
                sender.ready().await.expect("it is open");
                let response = sender.send_request(request.expect("a request")).await.expect("it answers");
                assert!(response.status().is_success());
                response.into_body().collect().await.expect("an empty body");
            }
        };
        tokio::select! {
            biased;
            () = posting => {}
            ended = &mut driver => panic!("the receiver hung up: {ended:?}"),
        }
        Self { to, sender, driver }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        for cut in 0..request.len() {
            assert_eq!(whole(&request[..cut]), None);
        }
        assert_eq!(whole(&[&request[..], b"POST"].concat()), Some(request.len()));
    }
}
