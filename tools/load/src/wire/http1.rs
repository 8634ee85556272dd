//! One request after the other on a connection of HTTP/1.1.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::{Body, Fed};
use super::head::{self, Asked, HEAD_BYTES_MAX, Head, Kind, Malformed};
use super::{Fate, Keeps};
use crate::tally::Class;

/// What is read at a time, at first; it grows where a head is larger.
const BUFFER_BYTES: usize = 8 * 1_024;
/// The most interim answers, 1xx, before the answer itself.
const INTERIM_MAX: u32 = 16;
/// How every answer begins.
const BEGIN: &[u8] = b"HTTP/";

/// A connection, used by one request at a time.
pub(crate) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// What is to be sent, and how its answer is read.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) asked: Asked,
    /// The most bytes of a body.
    pub(crate) body_bytes_max: u64,
}

/// Whether all of a request went out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    /// The answer, or the end, came first: so many of its bytes are there.
    Partly(usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Sends a request and reads its answer, of which nothing is kept.
    ///
    /// # Cancel safety
    /// Dropped midway, the connection is of no use any more.
    pub(crate) async fn exchange(&mut self, exchange: Exchange<'_>) -> Fate {
        let sent = self.send(exchange.request).await;
        let mut fate = match sent {
            Ok(Sent::Whole) => self.read(exchange, 0).await,
            Ok(Sent::Partly(0)) => return Fate::ended(Class::Cut, 0),
            Ok(Sent::Partly(bytes)) => self.read(exchange, bytes).await,
            // It may have said why before it hung up.
            Err(_) => self.read(exchange, 0).await,
        };
        if sent.ok() != Some(Sent::Whole) {
            fate.keeps = Keeps::Closed;
        }
        fate
    }

    /// Ready when the idle connection is of no use any more: its peer hung up, or says what nobody
    /// asked for.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = ReadBuf::new(&mut self.buffer);
        Pin::new(&mut self.stream).poll_read(cx, &mut room).map(drop)
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<Sent> {
        let Self { stream, buffer } = self;
        let mut rest = request;
        poll_fn(|cx| {
            while !rest.is_empty() {
                let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, rest)? else {
                    let mut room = ReadBuf::new(buffer);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
                    return Poll::Ready(Ok(Sent::Partly(room.filled().len())));
                };
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                rest = &rest[written..];
            }
            Pin::new(&mut *stream).poll_flush(cx).map_ok(|()| Sent::Whole)
        })
        .await
    }

    async fn fill(&mut self, from: usize) -> io::Result<usize> {
        let (stream, room) = (&mut self.stream, &mut self.buffer[from..]);
        poll_fn(|cx| {
            let mut room = ReadBuf::new(room);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut room))?;
            Poll::Ready(Ok(room.filled().len()))
        })
        .await
    }

    /// Reads an answer of which so many bytes are in the buffer.
    async fn read(&mut self, exchange: Exchange<'_>, there: usize) -> Fate {
        let mut filled = there;
        let mut bytes = there as u64;
        let mut interims = 0;
        // As far as there is no end of a head.
        let mut looked = 0;
        let (class, mut body, keeps, mut at) = loop {
            match self.head(exchange.asked, filled, looked) {
                Err(Malformed) => return Fate::ended(Class::Malformed, bytes),
                Ok(Some(head)) => match head.kind {
                    Kind::Answer { class, body, keeps } => break (class, body, keeps, head.bytes),
                    Kind::Interim => {
                        interims += 1;
                        if interims > INTERIM_MAX {
                            return Fate::ended(Class::Malformed, bytes);
                        }
                        self.buffer.copy_within(head.bytes..filled, 0);
                        filled -= head.bytes;
                        looked = 0;
                        continue;
                    }
                },
                Ok(None) => looked = filled,
            }
            if filled == self.buffer.len() {
                if filled >= HEAD_BYTES_MAX {
                    return Fate::ended(Class::Malformed, bytes);
                }
                self.buffer.resize(filled * 2, 0);
            }
            match self.fill(filled).await {
                Ok(0) | Err(_) => return Fate::ended(Class::Cut, bytes),
                Ok(more) => {
                    filled += more;
                    bytes += more as u64;
                }
            }
        };
        let head_bytes = bytes - (filled - at) as u64;
        loop {
            match body.feed(&self.buffer[at..filled]) {
                Fed::Wrong => return Fate::ended(Class::Malformed, bytes),
                // More than was asked for: whose answer it is, nobody knows.
                Fed::Done(taken) if at + taken < filled => return Fate::ended(class, bytes),
                Fed::Done(_) => return Fate { class, bytes, keeps },
                Fed::More => {}
            }
            if bytes - head_bytes > exchange.body_bytes_max {
                return Fate::ended(Class::Malformed, bytes);
            }
            at = 0;
            match self.fill(0).await {
                Ok(0) if body == Body::UntilClosed => return Fate::ended(class, bytes),
                Ok(0) | Err(_) => return Fate::ended(Class::Cut, bytes),
                Ok(more) => {
                    filled = more;
                    bytes += more as u64;
                }
            }
        }
    }

    /// The head, if it is whole: bytes that come one at a time are looked at once, and parsed when
    /// there is the end of a head.
    fn head(&self, asked: Asked, filled: usize, looked: usize) -> Result<Option<Head>, Malformed> {
        let there = &self.buffer[..filled];
        let begin = &BEGIN[..BEGIN.len().min(filled)];
        if !there.starts_with(begin) {
            return Err(Malformed);
        }
        if !ends(&there[looked.saturating_sub(3)..]) {
            return Ok(None);
        }
        head::parse(there, asked)
    }
}

/// Whether an empty line is there, which ends a head.
fn ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}
