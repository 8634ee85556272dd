//! One HTTP/1.1 connection, driven by whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use plimsoll::semaphore::OwnedPermit;
use tokio::io::{AsyncRead, AsyncWrite};

use super::metered::Allowance;

/// What a socket or a TLS session over one is.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// The head of an answer: what the parser holds of it at the most, and of all interim heads before it.
const HEAD_BYTES_MAX: usize = 64 * 1024;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An open connection and the permit of its socket.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    driven_to_its_end: bool,
    allowance: Allowance,
    _socket: OwnedPermit,
}

impl Connection {
    /// Speaks HTTP/1.1 over an open stream, which reads as much as it has an allowance for.
    pub(crate) async fn open(
        stream: Box<dyn Stream>,
        allowance: Allowance,
        socket: OwnedPermit,
    ) -> hyper::Result<Self> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Box::pin(connection),
            driven_to_its_end: false,
            allowance,
            _socket: socket,
        })
    }

    /// Sends a request and waits for the head of the answer; no more is read off the socket than a
    /// head and `body_bytes_max`.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        body_bytes_max: usize,
    ) -> hyper::Result<Response<Incoming>> {
        self.allowance.set(HEAD_BYTES_MAX + body_bytes_max);
        let response = self.sender.send_request(request);
        tokio::pin!(response);
        drive(&mut self.driver, &mut self.driven_to_its_end, response).await
    }

    /// Reads at most `limit` bytes of a body. With them, whether the body ended within the limit,
    /// so that the connection can be used again.
    pub(crate) async fn read(&mut self, body: &mut Incoming, limit: usize, into: &mut Vec<u8>) -> bool {
        loop {
            let frame = drive(&mut self.driver, &mut self.driven_to_its_end, body.frame()).await;
            match frame {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else { continue };
                    let room = limit - into.len();
                    into.extend_from_slice(&data[..room.min(data.len())]);
                    if data.len() > room {
                        return false;
                    }
                }
            }
        }
    }

    /// Whether it can take a request now; looks at the socket, so that one which the other side
    /// has closed meanwhile is seen.
    pub(crate) async fn is_ready(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.poll_ready(context))).await
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> bool {
        if self.driven_to_its_end || self.driver.as_mut().poll(context).is_ready() {
            self.driven_to_its_end = true;
            return false;
        }
        self.sender.is_ready()
    }
}

/// Waits for `wanted` and drives the connection meanwhile.
async fn drive<F: Future + Unpin>(driver: &mut Driver, ended: &mut bool, mut wanted: F) -> F::Output {
    poll_fn(|context| {
        if let Poll::Ready(output) = Pin::new(&mut wanted).poll(context) {
            return Poll::Ready(output);
        }
        if !*ended && driver.as_mut().poll(context).is_ready() {
            *ended = true;
        }
        // Driving may have made it ready without waking us.
        Pin::new(&mut wanted).poll(context)
    })
    .await
}
