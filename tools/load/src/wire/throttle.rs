//! A stream whose reading or writing is slow on purpose.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Stream;
use crate::plan::{Slow, SlowAt};

/// How often a slow client moves some bytes, unless it moves fewer than one in this time.
const TURN: Duration = Duration::from_millis(100);
/// The most bytes that it moves at a time; of more a second, turns are shorter.
const BYTES_MAX: usize = 4_096;

/// A stream that moves so many bytes a second in one of its directions.
pub(crate) struct Throttled {
    stream: Stream,
    at: SlowAt,
    /// Bytes of each turn, and how long a turn is.
    bytes: usize,
    turn: Duration,
    wait: Pin<Box<Sleep>>,
}

impl Throttled {
    pub(crate) fn new(stream: Stream, slow: &Slow) -> Self {
        let per_turn = f64::from(slow.bytes_per_second) * TURN.as_secs_f64();
        let bytes = per_turn.clamp(1.0, BYTES_MAX as f64).floor();
        let turn = Duration::from_secs_f64(bytes / f64::from(slow.bytes_per_second));
        let wait = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { stream, at: slow.at, bytes: bytes as usize, turn, wait }
    }

    fn next_turn(&mut self) {
        self.wait.as_mut().reset(Instant::now() + self.turn);
    }
}

impl AsyncRead for Throttled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.at != SlowAt::Reading {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        ready!(this.wait.as_mut().poll(cx));
        let mut room = [0; BYTES_MAX];
        let mut few = ReadBuf::new(&mut room[..this.bytes.min(buf.remaining())]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut few))?;
        buf.put_slice(few.filled());
        this.next_turn();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.at != SlowAt::Sending {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        ready!(this.wait.as_mut().poll(cx));
        let few = &buf[..buf.len().min(this.bytes)];
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, few))?;
        this.next_turn();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
