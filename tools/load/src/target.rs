//! What is tested: where it is and how it is spoken to.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use url::Url;

use crate::Error;

/// How long finding the addresses of a name may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Which certificates are believed.
#[derive(Clone, Default, Debug)]
pub enum Trust {
    /// Those that the authorities of browsers have signed.
    #[default]
    Public,
    /// Those that these authorities have signed.
    Authorities(Vec<CertificateDer<'static>>),
    /// Any: for a test system with a certificate of its own making. Nothing secret should be sent.
    Anything,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// What the server chooses under TLS (ALPN), and HTTP/1.1 without.
    #[default]
    Auto,
    /// HTTP/1.1: one request at a time on a connection.
    Http1,
    /// HTTP/2: many at a time; without TLS it is spoken from the first byte (prior knowledge).
    Http2,
}

/// The service under test: the origin and base path of a URL.
#[derive(Clone, Debug)]
pub struct Target {
    url: Url,
    /// Path and query, with what is to be filled in as it was written.
    path: String,
    host: String,
    port: u16,
    trust: Trust,
}

/// A target whose addresses are known.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) addresses: Arc<[SocketAddr]>,
    /// As the `host` header says it.
    pub(crate) authority: String,
    pub(crate) origin: String,
    pub(crate) tls: Option<(ServerName<'static>, Trust)>,
}

impl Target {
    /// The target of a URL, `http://` or `https://`; its path is put before that of each request.
    ///
    /// ```
    /// use plimsoll_load::Target;
    /// let target = Target::new("http://127.0.0.1:8080/api")?;
    /// assert_eq!((target.origin(), target.path()), ("http://127.0.0.1:8080".to_owned(), "/api"));
    /// assert!(Target::new("ftp://example.com").is_err());
    /// # Ok::<(), plimsoll_load::Error>(())
    /// ```
    ///
    /// # Errors
    /// A URL that is none, is of another scheme, or holds a user, a password or a fragment.
    pub fn new(url: &str) -> Result<Self, Error> {
        let allowed = "a URL such as http://127.0.0.1:8080/path or https://example.com";
        let refused = |why: &str| Error::invalid("url", format!("`{url}` ({why})"), allowed);
        let parsed = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("neither http nor https"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("it holds a user: send an authorization header"));
        }
        if parsed.fragment().is_some() {
            return Err(refused("it holds a fragment, which is never sent"));
        }
        let host = parsed.host_str().ok_or_else(|| refused("it has no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = parsed.port_or_known_default().ok_or_else(|| refused("it has no port"))?;
        let path = path(url, &parsed);
        Ok(Self { url: parsed, path, host, port, trust: Trust::default() })
    }

    /// Believes these certificates under `https`.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is spoken to under TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The path and query of the URL, with its `{{column}}` as they were written.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Finds its addresses, once: a test whose target moves while it runs tests nothing.
    ///
    /// # Errors
    /// There are none, or they are not found within ten seconds.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn locate(&self) -> Result<Located, Error> {
        let failed = |why: String| Error::Target { origin: self.origin(), why };
        let found = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, found).await;
        let found = found.map_err(|_| failed("its address was not found within 10 s".to_owned()))?;
        let addresses: Arc<[SocketAddr]> =
            found.map_err(|error| failed(format!("its address was not found: {error}")))?.take(16).collect();
        if addresses.is_empty() {
            return Err(failed("it has no address".to_owned()));
        }
        let tls = self.is_https().then(|| ServerName::try_from(self.host.clone()));
        let tls = tls.transpose().map_err(|error| failed(format!("no name for a certificate: {error}")))?;
        Ok(Located {
            addresses,
            authority: self.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            origin: self.origin(),
            tls: tls.map(|name| (name, self.trust.clone())),
        })
    }
}

/// Path and query. What is to be filled in holds braces, which in a path are percent-encoded like all
/// that may not stand there; here they are not, where they were not written so.
fn path(written: &str, parsed: &Url) -> String {
    let path = &parsed[url::Position::BeforePath..];
    if !written.contains("{{") {
        return path.to_owned();
    }
    let braces = [("%7B%7B", "{{"), ("%7D%7D", "}}"), ("{{%20", "{{"), ("%20}}", "}}")];
    braces.into_iter().fold(path.to_owned(), |path, (encoded, brace)| path.replace(encoded, brace))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_in_the_path_are_kept_as_they_were_written() {
        let path = |url: &str| Target::new(url).unwrap().path().to_owned();
        assert_eq!(path("http://h/items/{{id}}?of={{ who }}"), "/items/{{id}}?of={{who}}");
        assert_eq!(path("http://h/a%7B%7Bb"), "/a%7B%7Bb");
    }
}
