//! Many requests at a time on a connection of HTTP/2.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::{Request, header};

use super::head::retry_after;
use super::{Fate, Keeps, Stream};
use crate::tally::{Class, RetryAfter};

/// What a server may send of one answer before it is taken.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What it may send of all of a connection's.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest list of headers that is taken.
const HEAD_BYTES_MAX: u32 = 64 * 1_024;

/// A connection of HTTP/2.
pub(crate) struct Multiplexed {
    pub(crate) sender: Sender,
    /// Moves the connection; ends with it.
    pub(crate) driver: Pin<Box<dyn Future<Output = ()>>>,
    /// How many requests may be on it at a time.
    pub(crate) streams: u32,
}

/// Sends requests, one at a time; its clones share the connection.
#[derive(Clone)]
pub(crate) struct Sender {
    requests: SendRequest<Bytes>,
}

impl Multiplexed {
    /// Begins to speak HTTP/2, and waits until the server has said what it allows.
    pub(super) async fn begin(stream: Stream, streams_max: u32) -> io::Result<Self> {
        let handshake = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEAD_BYTES_MAX)
            .handshake::<_, Bytes>(stream)
            .await;
        let (requests, mut connection) = handshake.map_err(io::Error::other)?;
        // Its settings come before its answer to a ping.
        let mut pings = connection.ping_pong().expect("it is asked for once");
        {
            let mut ping = std::pin::pin!(pings.ping(h2::Ping::opaque()));
            let greeted = poll_fn(|cx| {
                if let Poll::Ready(pong) = ping.as_mut().poll(cx) {
                    return Poll::Ready(pong.map(drop).map_err(io::Error::other));
                }
                // An end without an error is none that a connection begins with.
                Pin::new(&mut connection).poll(cx).map(|ended| {
                    ended.map_err(io::Error::other).and(Err(io::ErrorKind::UnexpectedEof.into()))
                })
            });
            greeted.await?;
        }
        let streams = u32::try_from(connection.max_concurrent_send_streams()).unwrap_or(u32::MAX);
        let driver = Box::pin(async move {
            // What ends it is seen by the requests that are on it.
            let _ended = connection.await;
        });
        Ok(Self { sender: Sender { requests }, driver, streams: streams.clamp(1, streams_max) })
    }
}

impl Sender {
    /// Whether the connection takes no more requests: it failed, or the server is going away.
    pub(crate) fn is_over(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.requests.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Sends a request and reads its answer, of which nothing is kept.
    ///
    /// # Cancel safety
    /// Dropped midway, the request is reset; the connection goes on.
    pub(crate) async fn exchange(&mut self, request: Request<()>, body: Bytes, body_bytes_max: u64) -> Fate {
        let mut bytes = 0;
        match self.answered(request, body, body_bytes_max, &mut bytes).await {
            Ok(fate) => fate,
            Err(error) => failed(&error, bytes),
        }
    }

    async fn answered(
        &mut self,
        request: Request<()>,
        body: Bytes,
        body_bytes_max: u64,
        bytes: &mut u64,
    ) -> Result<Fate, h2::Error> {
        poll_fn(|cx| self.requests.poll_ready(cx)).await?;
        let (answer, mut sending) = self.requests.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(body, true)?;
        }
        let answer = answer.await?;
        let told = answer.headers().get(header::RETRY_AFTER);
        let told = told.map_or(RetryAfter::Untold, |value| retry_after(value.as_bytes()));
        let class = Class::of(answer.status().as_u16(), told);
        let mut body: RecvStream = answer.into_body();
        while let Some(piece) = body.data().await {
            let length = piece?.len();
            *bytes += length as u64;
            if *bytes > body_bytes_max {
                return Ok(Fate { class: Class::Malformed, bytes: *bytes, keeps: Keeps::Open });
            }
            body.flow_control().release_capacity(length)?;
        }
        Ok(Fate { class, bytes: *bytes, keeps: Keeps::Open })
    }
}

fn failed(error: &h2::Error, bytes: u64) -> Fate {
    // A stream that the server resets ends one request, everything else the connection.
    let keeps = if error.is_reset() && !error.is_library() { Keeps::Open } else { Keeps::Closed };
    let ours = error.is_library() && !error.is_io();
    let class = if ours { Class::Malformed } else { Class::Cut };
    Fate { class, bytes, keeps }
}
