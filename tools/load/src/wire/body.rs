//! Where a body of HTTP/1.1 ends. A pure state machine: bytes in, "more", "done" or "wrong" out.

/// The longest line between chunks that is read: a length and what may stand behind it.
const LINE_BYTES_MAX: u32 = 4_096;
/// The most bytes of trailers.
const TRAILER_BYTES_MAX: u32 = 16 * 1_024;

/// A body that is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunks(Chunks),
    /// All until the connection ends.
    UntilClosed,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunks {
    next: Next,
    /// Bytes of the present line, or of all trailers.
    line: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataEnd,
    TrailerStart,
    TrailerReturn,
    Trailer,
    End,
}

/// How reading some bytes of a body went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fed {
    /// All of them belong to it, and there is more to come.
    More,
    /// It ended behind so many of them.
    Done(usize),
    /// They are not what may stand there.
    Wrong,
}

impl Body {
    pub(crate) const fn chunked() -> Self {
        Self::Chunks(Chunks { next: Next::Size { size: 0, digits: 0 }, line: 0 })
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Fed {
        match self {
            Self::UntilClosed => Fed::More,
            Self::Chunks(chunks) => chunks.feed(bytes),
            Self::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                if *left == 0 { Fed::Done(taken as usize) } else { Fed::More }
            }
        }
    }
}

impl Chunks {
    fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Next::Data { left } = &mut self.next {
                let taken = (*left).min((bytes.len() - at) as u64);
                *left -= taken;
                at += taken as usize;
                if *left == 0 {
                    self.next = Next::DataReturn;
                }
                continue;
            }
            at += 1;
            self.line += 1;
            let Some(next) = self.next.step(*byte) else { return Fed::Wrong };
            let limit = match next {
                Next::End => return Fed::Done(at),
                Next::TrailerStart | Next::TrailerReturn | Next::Trailer => TRAILER_BYTES_MAX,
                _ => LINE_BYTES_MAX,
            };
            if self.line > limit {
                return Fed::Wrong;
            }
            if matches!(next, Next::Data { .. }) {
                self.line = 0;
            }
            self.next = next;
        }
        Fed::More
    }
}

impl Next {
    /// What comes behind this byte; `None` where it must not stand.
    fn step(self, byte: u8) -> Option<Self> {
        let begun = |size: u64| if size == 0 { Self::TrailerStart } else { Self::Data { left: size } };
        Some(match (self, byte) {
            // 15 digits are more than any body has, and do not overflow.
            (Self::Size { size, digits: 0..15 }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16)?;
                let digits = match self {
                    Self::Size { digits, .. } => digits + 1,
                    _ => 1,
                };
                Self::Size { size: size * 16 + u64::from(digit), digits }
            }
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Size { size, digits: 1.. } | Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digits: 1.. } | Self::Extension { size } | Self::SizeEnd { size }, b'\n') => {
                begun(size)
            }
            (Self::Extension { size }, _) => Self::Extension { size },
            (Self::DataReturn, b'\r') => Self::DataEnd,
            (Self::DataReturn | Self::DataEnd, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::TrailerStart | Self::TrailerReturn, b'\n') => Self::End,
            (Self::TrailerStart, b'\r') => Self::TrailerReturn,
            (Self::Trailer, b'\n') => Self::TrailerStart,
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            _ => return None,
        })
    }
}
