//! Requests on their way out, written ahead as far as they are always the same.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};

use super::head::Asked;
use crate::Error;
use crate::mix::{Draft, Values};
use crate::target::Located;

const AGENT: &str = concat!("plimsoll-load/", env!("CARGO_PKG_VERSION"));

/// A kind of request for one target.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    draft: Draft,
    authority: String,
    scheme: &'static str,
    // Whole, where nothing is filled in.
    written: Option<Bytes>,
    asked: Asked,
}

impl Outgoing {
    pub(crate) fn new(draft: Draft, target: &Located) -> Self {
        let asked = if draft.method == Method::HEAD { Asked::HeadOnly } else { Asked::Whole };
        let scheme = if target.tls.is_some() { "https" } else { "http" };
        let mut outgoing = Self { draft, authority: target.authority.clone(), scheme, written: None, asked };
        if outgoing.draft.is_constant() {
            let mut out = Vec::new();
            outgoing.compose(Values { row: None, tenant: "" }, &mut out);
            outgoing.written = Some(Bytes::from(out));
        }
        outgoing
    }

    pub(crate) const fn asked(&self) -> Asked {
        self.asked
    }

    pub(crate) fn takes_data(&self) -> bool {
        self.draft.takes_data()
    }

    /// The request as HTTP/1.1; `room` is where it is written if it is not written yet.
    pub(crate) fn bytes<'a>(&'a self, values: Values<'_>, room: &'a mut Vec<u8>) -> &'a [u8] {
        if let Some(written) = &self.written {
            return written;
        }
        room.clear();
        self.compose(values, room);
        room
    }

    fn compose(&self, values: Values<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.draft.method.as_str().as_bytes());
        out.push(b' ');
        self.draft.write_path(values, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if !self.names(&header::HOST) {
            line(out, "host", self.authority.as_bytes());
        }
        if !self.names(&header::USER_AGENT) {
            line(out, "user-agent", AGENT.as_bytes());
        }
        for (name, value) in self.draft.headers() {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            value.write(values, out);
            out.extend_from_slice(b"\r\n");
        }
        let mut body = Vec::new();
        self.draft.write_body(values, &mut body);
        if self.tells_length(&body) {
            line(out, "content-length", body.len().to_string().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&body);
    }

    /// The request as HTTP/2, and its body.
    ///
    /// # Errors
    /// What is filled in makes it no request.
    pub(crate) fn request(&self, values: Values<'_>) -> Result<(Request<()>, Bytes), Error> {
        let refused = |what: &str, why: String| Error::invalid(what, why, "what HTTP allows");
        let mut path = Vec::new();
        self.draft.write_path(values, &mut path);
        let uri = Uri::builder()
            .scheme(self.scheme)
            .authority(self.authority.as_str())
            .path_and_query(path.as_slice());
        let uri = uri.build().map_err(|error| refused("path", error.to_string()))?;
        let mut request = Request::new(());
        *request.method_mut() = self.draft.method.clone();
        *request.uri_mut() = uri;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        let mut text = Vec::new();
        for (name, value) in self.draft.headers() {
            text.clear();
            value.write(values, &mut text);
            let value =
                HeaderValue::from_bytes(&text).map_err(|error| refused(name.as_str(), error.to_string()))?;
            match *name {
                header::USER_AGENT => drop(headers.insert(name, value)),
                _ => drop(headers.append(name, value)),
            }
        }
        let mut body = Vec::new();
        self.draft.write_body(values, &mut body);
        if self.tells_length(&body) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        *request.headers_mut() = headers;
        Ok((request, Bytes::from(body)))
    }

    fn names(&self, name: &HeaderName) -> bool {
        self.draft.headers().any(|(other, _)| other == name)
    }

    /// Methods whose meaning is in the body say its length even where it is empty (RFC 9110, 8.6).
    fn tells_length(&self, body: &[u8]) -> bool {
        !body.is_empty() || matches!(self.draft.method, Method::POST | Method::PUT | Method::PATCH)
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
