//! A server that does as little as one can: what the generator is measured against, so that all that
//! is seen is the generator.

use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use plimsoll::group::Group;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The most connections it holds.
const CONNECTIONS_MAX: usize = 4_096;
/// The most of a request's head that is read.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// How every connection of HTTP/2 begins.
const HTTP2_BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A trivial server of HTTP/1.1 and 2 on this machine, on a thread of its own until it is dropped.
pub struct Server {
    address: SocketAddr,
    answered: Arc<AtomicU64>,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// The machine has no port or thread for it.
    pub fn start() -> Result<Self, Error> {
        let refused =
            |error: io::Error| Error::Machine { what: "a server to check with", why: error.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        // Bound without waiting: whoever starts it may be within a runtime, which must not wait for
        // another one.
        let bound = std::net::TcpListener::bind("127.0.0.1:0").map_err(refused)?;
        bound.set_nonblocking(true).map_err(refused)?;
        let listener = {
            let _within = runtime.enter();
            TcpListener::from_std(bound).map_err(refused)?
        };
        let address = listener.local_addr().map_err(refused)?;
        let end = CancellationToken::new();
        let ended = end.clone();
        let answered = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&answered);
        let serve = move || {
            let serving = ended.run_until_cancelled_owned(accept(listener, count));
            runtime.block_on(serving).unwrap_or(());
        };
        let thread = Builder::new().name("load-check".to_owned()).spawn(serve).map_err(refused)?;
        Ok(Self { address, answered, end, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

async fn accept(listener: TcpListener, answered: Arc<AtomicU64>) {
    let mut connections: Group<()> = Group::new(CONNECTIONS_MAX).expect("the limit is constant and valid");
    loop {
        // What cannot be accepted now can be soon: the generator holds fewer than there may be.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let answered = Arc::clone(&answered);
        // However a connection ends, the generator has seen it too.
        connections.spawn(async move { drop(serve(stream, &answered).await) }).await;
    }
}

async fn serve(mut stream: TcpStream, answered: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // The first byte would do, but for methods such as PUT.
    let mut begin = [0; HTTP2_BEGIN.len()];
    let there = stream.peek(&mut begin).await?;
    if there > 3 && HTTP2_BEGIN.starts_with(&begin[..there]) {
        return serve_many(stream, answered).await;
    }
    serve_one(&mut stream, answered).await
}

async fn serve_one(stream: &mut TcpStream, answered: &AtomicU64) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1_024);
    loop {
        while let Some(length) = head(&buffer)? {
            let body = length.1.min(buffer.len() - length.0);
            let mut left = length.1 - body;
            buffer.drain(..length.0 + body);
            while left > 0 {
                buffer.clear();
                match stream.read_buf(&mut buffer).await? {
                    0 => return Ok(()),
                    _ => {
                        let taken = left.min(buffer.len());
                        left -= taken;
                        buffer.drain(..taken);
                    }
                }
            }
            answered.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await?;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// How long a whole head is, and the body behind it.
fn head(buffer: &[u8]) -> io::Result<Option<(usize, usize)>> {
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(buffer).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let told = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = told.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    Ok(Some((length, body.unwrap_or(0))))
}

async fn serve_many(stream: TcpStream, answered: &AtomicU64) -> io::Result<()> {
    let handshake = h2::server::Builder::new().max_concurrent_streams(1_000).handshake::<_, Bytes>(stream);
    let mut connection = handshake.await.map_err(io::Error::other)?;
    // Requests are answered as they come: their bodies are given back unread, and reset nothing.
    while let Some(request) = connection.accept().await {
        let (_, mut answer) = request.map_err(io::Error::other)?;
        answered.fetch_add(1, Ordering::Relaxed);
        let mut sending = answer.send_response(http::Response::new(()), false).map_err(io::Error::other)?;
        sending.send_data(Bytes::from_static(b"ok"), true).map_err(io::Error::other)?;
    }
    Ok(())
}
