//! Bytes over a socket, and what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything may take on a busy machine: what has not ended by then never ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// It is a refusal with this status, in the form of the interface, and has these words.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text);
        let json = self.json();
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let is_field = |field: &Value| {
            let loc = field["loc"].as_array().is_some_and(|loc| !loc.is_empty() && loc.iter().all(is_text));
            loc && is_text(&field["msg"]) && is_text(&field["type"])
        };
        let fields = json["detail"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_field));
        assert!(fields || is_text(&json["code"]) && is_text(&json["detail"]), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "{word} is not in {}", self.text);
        }
        assert!(self.text.len() < 8 << 10, "an answer of {} bytes", self.text.len());
    }

    /// It refuses the field at this place, as JSON, and says what is allowed.
    #[track_caller]
    pub(crate) fn refuses_field(&self, loc: &Value, words: &[&str]) {
        self.refuses(422, words);
        let json = self.json();
        let fields = json["detail"].as_array().unwrap();
        assert!(fields.iter().any(|field| field["loc"] == *loc), "{loc} is not in {}", self.text);
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(to)).await.unwrap().unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends these bytes; false where the server takes no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("it neither reads nor ends").is_ok()
    }

    /// Sends nothing more.
    pub(crate) async fn finish(&mut self) {
        // It may be gone already.
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; `None` where the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.take() {
                return Some(answer);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if !matches!(read.expect("it neither answers nor ends"), Ok(1..)) {
                return None;
            }
        }
    }

    /// Reads until the connection ends, and answers with how many answers came before.
    pub(crate) async fn end(&mut self) -> usize {
        let mut answers = 0;
        while self.answer().await.is_some() {
            answers += 1;
        }
        answers
    }

    /// The first answer of what was read, if it is whole.
    fn take(&mut self) -> Option<Answer> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(self.read.get(..end)?).to_lowercase();
        let status: u16 = head.split(' ').nth(1)?.parse().unwrap();
        if status == 100 {
            self.read.drain(..end);
            return self.take();
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let text = String::from_utf8_lossy(self.read.get(end..end + length)?).into_owned();
        self.read.drain(..end + length);
        Some(Answer { status, head, text })
    }
}
