//! One request and its answer on an open connection.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// More than any answer of the public interface; reading stops there.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status, whatever it is.
    pub(crate) status: StatusCode,
    /// When to try again, where the server says so in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nobody took the request: it certainly had no effect.
    Refused(String),
    /// The request was sent, the answer did not come: it may have had its effect.
    Unknown(String),
    /// The deadline passed: it may have had its effect.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "not sent: {why}"),
            Self::Unknown(why) => write!(f, "sent, no answer: {why}"),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for Error {}

type Driver = Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>;

/// A connection that is open; it makes progress only while it is used, so it needs no task.
pub(super) struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    // Dropped as soon as it has ended: only then does the sender learn of it.
    driver: Option<Driver>,
}

impl Open {
    /// Opens one.
    pub(super) async fn connect(to: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(to).await.map_err(|error| Error::Refused(error.to_string()))?;
        // Where it cannot be set the exchange is slower, not wrong.
        let _ = stream.set_nodelay(true);
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Refused(error.to_string()))?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Itself, if a request can be sent on it: looks whether the other side has closed it.
    pub(super) async fn into_ready(mut self) -> Option<Self> {
        let ready = Self::driven(&mut self.driver, self.sender.ready()).await;
        (ready.is_ok() && self.driver.is_some()).then_some(self)
    }

    /// Sends one request and reads the whole answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let sender = &mut self.sender;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| {
                if error.is_canceled() {
                    Error::Refused(error.to_string())
                } else {
                    Error::Unknown(error.to_string())
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| Error::Unknown(error.to_string()))?
                .to_bytes();
            let seconds =
                head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Ok(Answer { status: head.status, retry_after: seconds.map(Duration::from_secs), body })
        };
        Self::driven(&mut self.driver, answer).await
    }

    /// Runs `work` while the connection makes progress beside it in the same task.
    async fn driven<F: Future>(driver: &mut Option<Driver>, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            // An answer that was read before the connection ended is still there: its end is no
            // reason to stop, `work` will see whether anything is missing.
            if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
                *driver = None;
            }
            work.as_mut().poll(context)
        })
        .await
    }
}
