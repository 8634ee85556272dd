//! An endpoint's URL taken apart once, for every delivery to it.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use plimsoll_store::Endpoint;
use url::{Host, Url};

/// Where connections go: scheme, host and port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Destination {
    pub(crate) tls: bool,
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Destination {
    /// The address, where the host is one.
    pub(crate) fn literal(&self) -> Option<IpAddr> {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        host.unwrap_or(&self.host).parse().ok()
    }
}

/// What a delivery to an endpoint needs, ready made.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) destination: Destination,
    pub(crate) path: PathAndQuery,
    /// Every header but those that differ from message to message.
    pub(crate) headers: HeaderMap,
    /// The URL as it stands in the records of attempts.
    pub(crate) url: Arc<str>,
}

impl Prepared {
    /// `None` when the URL is not one that can be delivered to; endpoints are checked when they
    /// are made, so that this is a row that somebody else wrote.
    pub(crate) fn new(endpoint: &Endpoint) -> Option<Self> {
        Self::of(&endpoint.url, endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// For a URL, with headers beside those that every delivery has.
    pub(crate) fn of<'a>(to: &str, extra: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let url = Url::parse(to).ok()?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => format!("[{address}]"),
        };
        let host_header = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut headers = HeaderMap::with_capacity(10 + extra.size_hint().0);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Plimsoll/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in extra {
            let name = HeaderName::try_from(name).ok();
            if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        headers.insert(HOST, HeaderValue::try_from(host_header).ok()?);
        Some(Self {
            destination: Destination { tls, host: host.into(), port: url.port_or_known_default()? },
            path: PathAndQuery::try_from(path).ok()?,
            headers,
            url: to.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::test_endpoint;

    fn prepared(url: &str) -> Prepared {
        Prepared::new(&test_endpoint(url)).unwrap()
    }

    #[test]
    fn urls_come_apart_into_destination_path_and_host() {
        let one = prepared("https://Example.com/a/b?c=d#e");
        assert_eq!(one.destination, Destination { tls: true, host: "example.com".into(), port: 443 });
        assert_eq!(
            (one.path.as_str(), &one.headers[HOST]),
            ("/a/b?c=d", &HeaderValue::from_static("example.com"))
        );
        let two = prepared("http://127.0.0.1:8080");
        assert_eq!((two.destination.port, two.path.as_str()), (8080, "/"));
        assert_eq!(two.headers[HOST], "127.0.0.1:8080");
        assert_eq!(prepared("http://[::1]:9/").destination.literal(), Some("::1".parse().unwrap()));
        // Other spellings of an address are the address.
        assert_eq!(prepared("http://2130706433/").destination.literal(), Some("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_endpoint_s_headers_do_not_replace_the_host() {
        let mut endpoint = test_endpoint("http://example.com/");
        endpoint.headers = vec![("Host".into(), "evil".into()), ("X-Key".into(), "7".into())];
        let prepared = Prepared::new(&endpoint).unwrap();
        assert_eq!(prepared.headers[HOST], "example.com");
        assert_eq!(prepared.headers["x-key"], "7");
    }
}
