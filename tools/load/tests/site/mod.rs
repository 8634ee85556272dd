//! A server that behaves as a test says, on the test's own runtime.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::group::Group;
use plimsoll_load::mix::{Mix, Request};
use plimsoll_load::profile::Profile;
use plimsoll_load::run::{Run, Snapshot};
use plimsoll_load::{Error, Plan, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is done with one connection.
type Behaviour = fn(TcpStream, Arc<Seen>) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: Mutex<u64>,
    pub(crate) requests: Mutex<Vec<String>>,
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    _serving: Group<io::Result<()>>,
}

impl Site {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let mut serving = Group::new(1).unwrap();
        let shared = Arc::clone(&seen);
        serving
            .spawn(async move {
                let mut connections: Group<()> = Group::new(4_096).unwrap();
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    *shared.connections.lock().unwrap() += 1;
                    let serve = behaviour(stream, Arc::clone(&shared));
                    connections.spawn(async move { drop(serve.await) }).await;
                }
            })
            .await;
        Self { address, seen, _serving: serving }
    }

    /// A plan for it: so many requests a second, for so long.
    pub(crate) fn plan(&self, rate: f64, length: Duration) -> Plan {
        let target = Target::new(&format!("http://{}/", self.address)).unwrap();
        let profile = Profile::steady(rate, length).unwrap();
        let mut plan = Plan::new(target, profile, Mix::new(vec![Request::get("/hello")]).unwrap());
        plan.workers = Some(1);
        plan
    }
}

pub(crate) async fn run(plan: &Plan) -> Result<Run, Error> {
    let (observer, _kept) = watch::channel(Snapshot::default());
    plimsoll_load::run(plan, &CancellationToken::new(), &observer).await
}

/// Reads a request with its body; `None` at the end.
pub(crate) async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let whole = head + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let request = buffer.drain(..whole).collect();
                return Ok(Some(String::from_utf8(request).unwrap()));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers each request, and remembers it.
pub(crate) fn ok(
    mut stream: TcpStream,
    seen: Arc<Seen>,
) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
    Box::pin(async move {
        let mut buffer = Vec::new();
        while let Some(request) = request(&mut stream, &mut buffer).await? {
            seen.requests.lock().unwrap().push(request);
            stream.write_all(OK).await?;
        }
        Ok(())
    })
}

/// Reads each request, and never answers.
pub(crate) fn silent(
    mut stream: TcpStream,
    _: Arc<Seen>,
) -> std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
    Box::pin(async move {
        let mut buffer = Vec::new();
        while request(&mut stream, &mut buffer).await?.is_some() {}
        Ok(())
    })
}
