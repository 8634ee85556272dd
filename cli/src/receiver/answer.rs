//! How an endpoint answers: at once, late, badly, or as the worst customers do.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Behaviour;
use super::book::Entry;

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_secs(1);
/// How much of a body without worth is written at once.
static CHUNK: [u8; 64 * 1_024] = [b'.'; 64 * 1_024];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const FAILED: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 26\r\n\r\nthis endpoint always fails";
const STRANGER: &[u8] = b"HTTP/1.1 422 Unprocessable Content\r\ncontent-length: 30\r\n\r\n\
                          not an event of this endpoint\n";
const NO_ENDPOINT: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 17\r\n\r\nno such endpoint\n";

/// Answers one request.
///
/// # Errors
/// The other side has closed the connection, or the endpoint has nothing more to say on it.
pub(super) async fn answer(stream: &mut TcpStream, entry: Entry) -> io::Result<()> {
    let behaviour = match entry {
        Entry::Known(behaviour) => behaviour,
        Entry::NotCounted => return stream.write_all(OK).await,
        Entry::BadSignature(fault) => {
            let why = fault.to_string();
            let head = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{why}", why.len());
            return stream.write_all(head.as_bytes()).await;
        }
        Entry::Stranger => return stream.write_all(STRANGER).await,
        Entry::NoEndpoint => return stream.write_all(NO_ENDPOINT).await,
    };
    match behaviour {
        Behaviour::Healthy => stream.write_all(OK).await,
        Behaviour::Slow { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms.into())).await;
            stream.write_all(OK).await
        }
        Behaviour::Fails | Behaviour::Refuses => stream.write_all(FAILED).await,
        Behaviour::Hangs => closed(stream).await,
        Behaviour::DripsBody { bytes } => {
            stream.write_all(head(u64::from(bytes)).as_bytes()).await?;
            drip(stream, &CHUNK[..usize::from(bytes)]).await
        }
        Behaviour::DripsAll => drip(stream, OK).await,
        Behaviour::Floods { bytes } => flood(stream, bytes).await,
    }
}

fn head(bytes: u64) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {bytes}\r\n\r\n")
}

/// Never answers; ends when the other side does.
async fn closed(stream: &mut TcpStream) -> io::Result<()> {
    let mut more = [0; 64];
    while stream.read(&mut more).await? > 0 {}
    Err(io::ErrorKind::UnexpectedEof.into())
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.chunks(1) {
        stream.write_all(byte).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

async fn flood(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    stream.write_all(head(bytes).as_bytes()).await?;
    let mut left = bytes;
    while left > 0 {
        let chunk = left.min(CHUNK.len() as u64);
        stream.write_all(&CHUNK[..chunk as usize]).await?;
        left -= chunk;
    }
    Ok(())
}
