//! The head of an answer in HTTP/1.1.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

use super::Keeps;
use super::body::Body;
use crate::tally::{Class, RetryAfter};

/// The most headers of an answer.
const HEADERS_MAX: usize = 100;
/// The largest head of an answer, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// What matters of a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// How long it is.
    pub(super) bytes: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// 1xx: the answer itself follows.
    Interim,
    Answer {
        class: Class,
        body: Body,
        keeps: Keeps,
    },
}

/// How the body of the answer to a request is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// As its headers say.
    Whole,
    /// It has none, whatever they say: the method was `HEAD`.
    HeadOnly,
}

/// What is wrong with it: it is no head that HTTP allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// The head at the beginning of the bytes; `None` while it is not whole.
pub(super) fn parse(bytes: &[u8], asked: Asked) -> Result<Option<Head>, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed),
    };
    let status = answer.code.ok_or(Malformed)?;
    match status {
        // Nobody asked for another protocol.
        101 => return Err(Malformed),
        100..=199 => return Ok(Some(Head { bytes: length, kind: Kind::Interim })),
        _ => {}
    }
    let mut seen = Seen::default();
    for header in answer.headers.iter() {
        seen.read(header.name, header.value)?;
    }
    let body = match (asked, status) {
        (Asked::HeadOnly, _) | (_, 204 | 304) => Body::Length(0),
        _ => seen.body(),
    };
    let persistent = if answer.version == Some(1) { !seen.close } else { seen.keep_alive };
    // With both framings somebody on the way may have understood the other one.
    let unsure = body == Body::UntilClosed || (seen.chunked && seen.length.is_some());
    let keeps = if persistent && !unsure { Keeps::Open } else { Keeps::Closed };
    let class = Class::of(status, seen.retry_after);
    Ok(Some(Head { bytes: length, kind: Kind::Answer { class, body, keeps } }))
}

/// The headers that matter.
struct Seen {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    retry_after: RetryAfter,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            length: None,
            chunked: false,
            close: false,
            keep_alive: false,
            retry_after: RetryAfter::Untold,
        }
    }
}

impl Seen {
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        // By length first: most headers are none of these.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            11 if name.eq_ignore_ascii_case("retry-after") => {
                self.retry_after = retry_after(value);
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let text = std::str::from_utf8(value.trim_ascii()).map_err(|_| Malformed)?;
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Malformed);
                }
                let length = text.parse().map_err(|_| Malformed)?;
                if self.length.is_some_and(|other| other != length) {
                    return Err(Malformed);
                }
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                if !last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn body(&self) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::chunked(),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClosed,
        }
    }
}

/// Whether a value of `Retry-After` says when: seconds, or a date, of which there is one form.
pub(super) fn retry_after(value: &[u8]) -> RetryAfter {
    let value = value.trim_ascii();
    let seconds = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let date = value.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len() && value.ends_with(b" GMT");
    if seconds || date { RetryAfter::Told } else { RetryAfter::Untold }
}
