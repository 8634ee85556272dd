//! One connection.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::service::Guarded;
use crate::drain::Drain;

/// How long a client may leave what was sent to it unread or unacknowledged.
const STALL: Duration = Duration::from_secs(60);

/// Prepares the socket; a socket that is gone already shows itself at the first read.
pub(super) fn prepare(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(socket, STALL.as_millis() as u32);
}

pub(super) fn protocol(head_timeout: Duration, head_bytes_max: usize) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        // The most that is buffered of a connection, about: what one read brings may be more, so that
        // the head has its own bound. The number of headers stays at hyper's hundred, for which it
        // needs no allocation.
        .max_buf_size(head_bytes_max)
        .max_header_size(head_bytes_max);
    protocol
}

/// Serves the connection to its end; when the drain begins, to the end of the request in progress.
pub(super) async fn serve(protocol: http1::Builder, socket: TcpStream, service: Guarded, drain: Drain) {
    let (counts, taking) = (service.counts.clone(), service.taking.clone());
    let connection = protocol.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = taking.overdue() => {
            counts.connection_error();
            tracing::debug!("an answer was taken too slowly, its connection is cut");
            return;
        }
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        counts.connection_error();
        tracing::debug!(%error, "a connection ended early");
    }
}
