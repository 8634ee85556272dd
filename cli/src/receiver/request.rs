//! One delivery as it lies in a connection's buffer, read without a copy.
//!
//! The receiver shares the machine with the server that it measures, so it reads no more of a
//! request than it needs: the path, the length of the body and the three headers that sign.

use super::signature::Signed;

/// The most of a request that is read, its head and its body.
pub(super) const BYTES_MAX: usize = 96 * 1_024;

/// A whole request.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Request<'b> {
    /// Its path, query and all.
    pub(super) path: &'b str,
    /// The headers that sign it.
    pub(super) signed: Signed<'b>,
    /// Its body.
    pub(super) body: &'b [u8],
    /// How many bytes of the buffer it is.
    pub(super) len: usize,
}

/// What lies in the buffer is no request that a receiver takes: the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotTaken;

impl<'b> Request<'b> {
    /// The first request in the buffer; `None` while it is not whole.
    ///
    /// # Errors
    /// It is too large, not HTTP/1.1, or its body has no length.
    pub(super) fn first(buffer: &'b [u8]) -> Result<Option<Self>, NotTaken> {
        let Some((path, mut rest)) = line(buffer) else { return whole_or_more(buffer) };
        let path = path.split(|byte| *byte == b' ').nth(1).and_then(text).ok_or(NotTaken)?;
        let mut signed = Signed::default();
        let mut body = 0;
        loop {
            let Some((header, after)) = line(rest) else { return whole_or_more(buffer) };
            rest = after;
            if header.is_empty() {
                break;
            }
            match header[0] | 0x20 {
                b'w' => signed.take(header),
                b'c' => {
                    if let Some(value) = value_of(header, "content-length") {
                        body = value.parse().map_err(|_| NotTaken)?;
                    }
                }
                // A body in chunks has no length: nothing here sends one.
                b't' if value_of(header, "transfer-encoding").is_some() => return Err(NotTaken),
                _ => {}
            }
        }
        let head = buffer.len() - rest.len();
        if body > BYTES_MAX - head.min(BYTES_MAX) {
            return Err(NotTaken);
        }
        Ok(rest.get(..body).map(|body| Self { path, signed, body, len: head + body.len() }))
    }
}

impl<'b> Signed<'b> {
    fn take(&mut self, header: &'b [u8]) {
        if let Some(id) = value_of(header, "webhook-id") {
            self.id = Some(id);
        } else if let Some(timestamp) = value_of(header, "webhook-timestamp") {
            self.timestamp = Some(timestamp);
        } else if let Some(signatures) = value_of(header, "webhook-signature") {
            self.signatures = Some(signatures);
        }
    }
}

fn whole_or_more<T>(buffer: &[u8]) -> Result<Option<T>, NotTaken> {
    if buffer.len() < BYTES_MAX { Ok(None) } else { Err(NotTaken) }
}

/// The first line without its end, and what comes after.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

fn value_of<'h>(header: &'h [u8], name: &str) -> Option<&'h str> {
    let (found, value) = header.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    text(value.strip_prefix(b":")?).map(str::trim)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "POST /e/7 HTTP/1.1\r\nhost: x\r\nWebhook-Id: msg_1\r\nwebhook-timestamp: 12\r\n\
                         webhook-signature: v1,a v1,b\r\nwebhook-strange: x\r\ncontent-length: 2\r\n\r\n{}";

    #[test]
    fn a_request_is_read_when_it_is_whole_and_not_before() {
        for cut in 0..WHOLE.len() {
            assert_eq!(Request::first(&WHOLE.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let two = format!("{WHOLE}POST /e/8 HTTP/1.1\r\n");
        let request = Request::first(two.as_bytes()).unwrap().unwrap();
        assert_eq!((request.path, request.body, request.len), ("/e/7", &b"{}"[..], WHOLE.len()));
        let signed = Signed { id: Some("msg_1"), timestamp: Some("12"), signatures: Some("v1,a v1,b") };
        assert_eq!(request.signed, signed);
    }

    #[test]
    fn what_is_too_large_or_has_no_length_is_not_taken() {
        let endless = vec![b'x'; BYTES_MAX];
        assert_eq!(Request::first(&endless), Err(NotTaken));
        for header in ["content-length: 98305", "content-length: -1", "transfer-encoding: chunked"] {
            let request = format!("POST /e/7 HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(Request::first(request.as_bytes()), Err(NotTaken), "{header}");
        }
        assert_eq!(Request::first(b"hello\r\n\r\n"), Err(NotTaken));
    }

    #[test]
    fn a_request_without_a_body_or_signature_is_one_too() {
        let request = Request::first(b"GET / HTTP/1.1\n\n").unwrap().unwrap();
        assert_eq!((request.path, request.body, request.signed), ("/", &b""[..], Signed::default()));
    }
}
