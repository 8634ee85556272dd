//! Requests that are already written, sent for next to nothing: what a benchmark drives with.
//!
//! [`Connection`](super::Connection) builds each request and reads any answer; this one writes bytes
//! that were prepared, with one system call, and reads an answer that has a length with another.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Error;

/// The most of an answer that is read.
const BYTES_MAX: usize = 256 * 1_024;

/// A keep-alive connection to one address, used by one caller at a time.
pub(crate) struct Wire {
    to: SocketAddr,
    timeout: Duration,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
    body: usize,
}

/// What matters of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    /// The status, whatever it is.
    pub(crate) status: u16,
    /// When to try again, where the server says so in seconds.
    pub(crate) retry_after: Option<Duration>,
}

/// The head of an answer.
#[derive(PartialEq, Eq, Debug)]
struct Head {
    reply: Reply,
    // Where the body begins, and how long it is.
    at: usize,
    body: usize,
    keeps: bool,
}

impl Wire {
    /// A connection to `to`; nothing is opened yet. `timeout` is the deadline of an exchange.
    pub(crate) fn new(to: SocketAddr, timeout: Duration) -> Self {
        Self { to, timeout, stream: None, answer: Vec::with_capacity(4 * 1_024), body: 0 }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// See [`Error`]; any status is an answer, not an error.
    ///
    /// # Cancel safety
    /// Dropped midway, the request may or may not have been taken, and the connection is closed.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Reply, Error> {
        // Taken out for the while: what is dropped midway must not serve the next request.
        let kept = self.stream.take();
        let (to, answer) = (self.to, &mut self.answer);
        answer.clear();
        let exchange = async {
            let mut stream = match kept {
                Some(stream) => stream,
                None => connect(to).await?,
            };
            stream.write_all(request).await.map_err(|error| Error::Unknown(error.to_string()))?;
            let head = read(&mut stream, answer).await?;
            Ok((stream, head))
        };
        let (stream, head) =
            tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Error::TimedOut))?;
        self.body = head.at;
        self.stream = head.keeps.then_some(stream);
        Ok(head.reply)
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        self.answer.get(self.body..).unwrap_or_default()
    }
}

async fn connect(to: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(to).await.map_err(|error| Error::Refused(error.to_string()))?;
    // Where it cannot be set the exchange is slower, not wrong.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<Head, Error> {
    loop {
        match stream.read_buf(answer).await {
            Ok(0) => return Err(Error::Unknown("closed before the answer was whole".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(Error::Unknown(error.to_string())),
        }
        match head(answer) {
            Ok(Some(head)) if answer.len() >= head.at + head.body => return Ok(head),
            Ok(_) if answer.len() < BYTES_MAX => {}
            Ok(_) => return Err(Error::Unknown(format!("an answer of more than {BYTES_MAX} bytes"))),
            Err(why) => return Err(Error::Unknown(why.to_owned())),
        }
    }
}

/// The head of the answer in the buffer; `None` while it is not whole.
fn head(answer: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some(at) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..at]).map_err(|_| "a head that is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status: u16 = status.ok_or("not an answer in HTTP/1.1")?;
    let mut head = Head { reply: Reply { status, retry_after: None }, at: at + 4, body: 0, keeps: true };
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok();
        } else if name.eq_ignore_ascii_case("retry-after") {
            head.reply.retry_after = value.parse().ok().map(Duration::from_secs);
        } else if name.eq_ignore_ascii_case("connection") {
            head.keeps = !value.eq_ignore_ascii_case("close");
        }
    }
    head.body = match (length, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => return Err("an answer without a length"),
    };
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use plimsoll::group::Group;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let answer =
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nconnection: close\r\nContent-Length: 2\r\n\r\nhi";
        for cut in 0..answer.len() - 2 {
            assert_eq!(head(&answer[..cut]), Ok(None), "{cut}");
        }
        let reply = Reply { status: 429, retry_after: Some(Duration::from_secs(3)) };
        let whole = Head { reply, at: answer.len() - 2, body: 2, keeps: false };
        assert_eq!(head(answer), Ok(Some(whole)));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no length");
        assert_eq!(head(b"HTTP/1.1 204 No\r\n\r\n").unwrap().unwrap().body, 0);
        assert!(head(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_one_and_a_closed_connection_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let mut server: Group<Result<(), ()>> = Group::new(1).unwrap();
        let serving = async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                stream.read_buf(&mut request).await.unwrap();
                assert_eq!(request, b"ping");
                for piece in [
                    "HTTP/1.1 202 Accepted\r\ncontent-",
                    "length: 4\r\n",
                    "connection: close\r\n\r\npo",
                    "ng",
                ] {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        };
        server.spawn(serving).await;
        let mut wire = Wire::new(to, Duration::from_secs(5));
        for _ in 0..2 {
            let reply = wire.exchange(b"ping").await.unwrap();
            assert_eq!((reply.status, wire.body()), (202, &b"pong"[..]));
        }
        server.join().await.unwrap();
        assert!(matches!(wire.exchange(b"ping").await, Err(Error::Refused(_))));
    }
}
