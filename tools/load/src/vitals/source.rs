//! Where the target's own numbers come from, and one reading of them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::page::PAGE_BYTES_MAX;
use super::{Vitals, process};
use crate::Error;

/// A page that is not there by then is not waited for: the next reading is due.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Fields of the page's head that are taken.
const FIELDS_MAX: usize = 64;

/// Where the target's own numbers come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Its Prometheus page.
    Page(Url),
    /// The system, of the process with this id on this machine.
    Process(u32),
}

impl Source {
    /// The Prometheus page at `url`.
    ///
    /// # Errors
    /// When it is no `http` URL with a host, or holds a user, which would never be sent.
    ///
    /// ```
    /// use plimsoll_load::vitals::Source;
    /// let page = Source::page("http://127.0.0.1:8072/metrics")?;
    /// assert_eq!(page.to_string(), "http://127.0.0.1:8072/metrics");
    /// assert!(Source::page("127.0.0.1:8072").is_err());
    /// # Ok::<(), plimsoll_load::Error>(())
    /// ```
    pub fn page(url: &str) -> Result<Self, Error> {
        let shown = url.split_once('@').map_or(url, |(_, after)| after);
        let refused =
            || Error::invalid("metrics", shown, "an http URL such as http://127.0.0.1:8072/metrics");
        let parsed = Url::parse(url).map_err(|_| refused())?;
        let user = !parsed.username().is_empty() || parsed.password().is_some();
        if parsed.scheme() != "http" || parsed.host_str().is_none() || user {
            return Err(refused());
        }
        Ok(Self::Page(parsed))
    }

    /// Reads the numbers as they are now.
    ///
    /// # Cancel safety
    /// Nothing is lost: a reading that is dropped was not made.
    ///
    /// # Errors
    /// They cannot be read, or there is none that is known among them; in words.
    pub async fn read(&self) -> Result<Vitals, String> {
        let vitals = match self {
            Self::Process(id) => process::read(*id)?,
            Self::Page(url) => {
                let page = tokio::time::timeout(TIMEOUT, fetch(url)).await;
                let page = page.map_err(|_| format!("{self}: no answer within {} s", TIMEOUT.as_secs()))?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Vitals::of_page(&page.map_err(|why| format!("{self}: {why}"))?, now.as_secs_f64())
            }
        };
        if vitals.is_empty() {
            return Err(format!(
                "{self}: no number that is known is told there, such as process_resident_memory_bytes"
            ));
        }
        Ok(vitals)
    }

    /// Whether it is a process of this machine that is there no more.
    pub(crate) fn has_ended(&self) -> bool {
        let Self::Process(id) = self else { return false };
        let there = std::fs::symlink_metadata(format!("/proc/{id}"));
        there.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its query may be secret.
            Self::Page(url) => f.write_str(&url[..url::Position::AfterPath]),
            Self::Process(id) => write!(f, "process {id}"),
        }
    }
}

/// Asks in HTTP/1.0, whose answer ends with the connection: nothing is framed, nothing is kept open
/// that would count among the target's descriptors.
async fn fetch(url: &Url) -> Result<String, String> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let address = (host.trim_matches(['[', ']']), port);
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let ask = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: text/plain;version=0.0.4\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let read = stream.take(PAGE_BYTES_MAX as u64).read_to_end(&mut answer).await;
    read.map_err(|error| error.to_string())?;
    body(&answer)
}

fn body(answer: &[u8]) -> Result<String, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let end = match head.parse(answer) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Err("the answer ended within its head".to_owned()),
        Err(error) => return Err(format!("the answer is no HTTP: {error}")),
    };
    match head.code {
        Some(200) => Ok(String::from_utf8_lossy(&answer[end..]).into_owned()),
        status => Err(format!("answered with {}", status.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn served(answer: &str) -> Result<Vitals, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source =
            Source::page(&format!("http://{}/metrics?all=1", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            assert!(asked.starts_with(b"GET /metrics?all=1 HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(source.read(), serve).0
    }

    #[tokio::test]
    async fn a_page_is_read_to_its_end() {
        let vitals =
            served("HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\nprocess_open_fds 5\n").await.unwrap();
        assert_eq!(vitals.descriptors, Some(5.0));
    }

    #[tokio::test]
    async fn what_is_no_page_is_told_with_its_place() {
        for (answer, told) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "answered with 404"),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "no number that is known"),
            ("SSH-2.0\r\n", "no HTTP"),
            ("", "within its head"),
        ] {
            let why = served(answer).await.unwrap_err();
            assert!(why.contains(told) && why.contains("/metrics"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_process_of_this_machine_is_read() {
        assert!(Source::Process(std::process::id()).read().await.unwrap().memory_bytes.is_some());
    }

    #[test]
    fn what_may_be_secret_in_the_url_of_a_page_is_never_shown() {
        let page = Source::page("http://127.0.0.1:1/metrics?token=secret").unwrap();
        assert_eq!(page.to_string(), "http://127.0.0.1:1/metrics");
        let refused = Source::page("http://me:secret@127.0.0.1:1/metrics").unwrap_err().to_string();
        assert!(refused.starts_with("metrics is ") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_process_that_is_gone_has_ended_and_a_page_has_not() {
        assert!(Source::Process(u32::MAX).has_ended());
        assert!(!Source::Process(std::process::id()).has_ended());
        assert!(!Source::page("http://127.0.0.1:1/").unwrap().has_ended());
    }
}
