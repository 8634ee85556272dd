//! A connection that is opened when it is needed and kept while it is good.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;

use super::exchange::{Answer, Error, Open};

/// A keep-alive connection to one address, used by one caller at a time.
pub(crate) struct Connection {
    to: SocketAddr,
    authorization: Option<String>,
    timeout: Duration,
    open: Option<Open>,
}

impl Connection {
    /// A connection to `to`; nothing is opened yet. `timeout` is the deadline of a whole exchange,
    /// connecting and the response body included.
    pub(crate) fn new(to: SocketAddr, timeout: Duration) -> Self {
        Self { to, authorization: None, timeout, open: None }
    }

    /// Sends this bearer token with each request.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// `GET`.
    ///
    /// # Errors
    /// See [`Error`]; any status is an answer, not an error.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        self.request(Method::GET, path, None, Bytes::new()).await
    }

    /// `POST` of JSON, with an idempotency key: the same key may be sent until there is an answer.
    ///
    /// # Errors
    /// See [`Error`]; any status is an answer, not an error.
    pub(crate) async fn post(&mut self, path: &str, key: &str, body: Bytes) -> Result<Answer, Error> {
        self.request(Method::POST, path, Some(key), body).await
    }

    /// `PUT` of JSON.
    ///
    /// # Errors
    /// See [`Error`]; any status is an answer, not an error.
    pub(crate) async fn put(&mut self, path: &str, body: Bytes) -> Result<Answer, Error> {
        self.request(Method::PUT, path, None, body).await
    }

    /// # Cancel safety
    /// Dropped midway, the request may or may not have been taken, and the connection is closed.
    async fn request(
        &mut self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, self.to.to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| Error::Refused(error.to_string()))?;
        // Taken out for the while: what is dropped midway must not serve the next request.
        let kept = self.open.take();
        let exchange = async {
            // One that the server closed meanwhile is found out before anything is sent on it.
            let mut open = match kept {
                Some(open) => match open.into_ready().await {
                    Some(open) => open,
                    None => Open::connect(self.to).await?,
                },
                None => Open::connect(self.to).await?,
            };
            let answer = open.exchange(request).await?;
            Ok((open, answer))
        };
        let (open, answer) =
            tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Error::TimedOut))?;
        self.open = Some(open);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use super::*;

    async fn answer_on(stream: &mut TcpStream, answer: &str) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"{}") && !request.starts_with(b"GET") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0, "closed early");
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn one_connection_serves_many_requests_and_a_closed_one_is_replaced() {
        let (listener, address) = listener().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            let ok = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nretry-after: 3\r\n\r\nhi";
            let one = answer_on(&mut first, ok).await;
            let two = answer_on(&mut first, ok).await;
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            let three = answer_on(&mut second, ok).await;
            [one, two, three]
        });
        let mut connection = Connection::new(address, Duration::from_secs(5)).with_token("secret");
        for _ in 0..3 {
            let answer = connection.post("/x", "key-1", Bytes::from_static(b"{}")).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (202, &b"hi"[..]));
            assert_eq!(answer.retry_after, Some(Duration::from_secs(3)));
            // The server's end of the story must have happened before the next request looks.
            tokio::task::yield_now().await;
        }
        for request in tasks.join_next().await.unwrap().unwrap() {
            let request = request.to_ascii_lowercase();
            assert!(request.starts_with("post /x http/1.1\r\n"), "{request}");
            assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
            assert!(request.contains("idempotency-key: key-1\r\n"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_refuses_and_a_cut_answer_is_unknown() {
        let (listener, address) = listener().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer_on(&mut stream, "HTTP/1.1 202 Acc").await;
        });
        let mut connection = Connection::new(address, Duration::from_secs(5));
        let cut = connection.get("/").await;
        assert!(matches!(cut, Err(Error::Unknown(_))), "{cut:?}");
        tasks.join_next().await.unwrap().unwrap();
        let refused = connection.get("/").await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_times_out() {
        let (_listener, address) = listener().await;
        let mut connection = Connection::new(address, Duration::from_secs(5));
        let late = connection.get("/").await;
        assert!(matches!(late, Err(Error::TimedOut)), "{late:?}");
    }
}
