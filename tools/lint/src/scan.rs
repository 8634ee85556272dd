//! Whether a text can be parsed without running out of stack: how deep it nests, seen before parsing.
//!
//! A parser of expressions recurses for each bracket, and also for each operator of a run such as
//! `!!!!x`, `a + a + a` or `if a {} else if b {}`: those nest in the tree although no bracket says so.
//! So two things are bounded: open brackets, and the tokens of all runs that are open at one place.

/// Tokens of all open runs together. A statement of hand-written code has some hundreds.
pub(crate) const RUN_TOKENS_MAX: usize = 6_000;

/// The line at which a text nests deeper than `depth_max` brackets, or runs on for too long.
pub(crate) fn too_deep(text: &str, depth_max: usize) -> Option<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, line: 1, runs: vec![0], total: 0, closed: false };
    while scan.step() {
        if scan.runs.len() > depth_max || scan.total > RUN_TOKENS_MAX {
            return Some(scan.line);
        }
    }
    None
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// Tokens since the last separator, for each open bracket.
    runs: Vec<usize>,
    /// The sum of `runs`.
    total: usize,
    /// Whether the last token was a `}`: what comes next says whether a statement has ended.
    closed: bool,
}

impl Scan<'_> {
    /// Takes one token; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(&byte) = self.bytes.get(self.at) else { return false };
        match byte {
            b'\n' => {
                self.line += 1;
                self.at += 1;
            }
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'/' if self.peek(1) == b'/' => self.skip_line(),
            b'/' if self.peek(1) == b'*' => self.skip_comment(),
            b'(' | b'[' | b'{' => {
                self.token();
                self.runs.push(0);
                self.at += 1;
            }
            b')' | b']' | b'}' => {
                if self.runs.len() > 1 {
                    self.total -= self.runs.pop().unwrap_or_default();
                }
                self.closed = byte == b'}';
                self.at += 1;
            }
            b';' | b',' => {
                self.separate();
                self.at += 1;
            }
            b'"' => self.string(),
            b'\'' => self.quote(),
            _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => self.word(),
            _ => {
                self.token();
                self.at += 1;
            }
        }
        true
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn token(&mut self) {
        self.closed = false;
        if let Some(run) = self.runs.last_mut() {
            *run += 1;
            self.total += 1;
        }
    }

    fn separate(&mut self) {
        self.closed = false;
        if let Some(run) = self.runs.last_mut() {
            self.total -= *run;
            *run = 0;
        }
    }

    fn word(&mut self) {
        let begin = self.at;
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80) {
            self.at += 1;
        }
        let word = &self.bytes[begin..self.at];
        if matches!(word, b"r" | b"b" | b"br" | b"c" | b"cr") && matches!(self.peek(0), b'"' | b'#' | b'\'') {
            let raw = word.ends_with(b"r");
            if raw && self.raw_string() {
                return;
            }
            if !raw && self.peek(0) == b'"' {
                self.string();
                return;
            }
        }
        // After a `}` another item or statement begins, unless the word goes on with what was closed.
        if self.closed && !matches!(word, b"else" | b"as") {
            self.separate();
        }
        self.token();
    }

    fn string(&mut self) {
        self.token();
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => {
                    self.line += usize::from(self.peek(0) == b'\n');
                    self.at += 1;
                }
                b'\n' => self.line += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    /// `#"…"#` after an `r`; `false`, and nothing taken, where it is something else, as `r#type`.
    fn raw_string(&mut self) -> bool {
        let mut hashes = 0;
        while self.peek(hashes) == b'#' {
            hashes += 1;
        }
        if self.peek(hashes) != b'"' {
            return false;
        }
        self.token();
        self.at += hashes + 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            self.line += usize::from(byte == b'\n');
            if byte == b'"' && (0..hashes).all(|ahead| self.peek(ahead) == b'#') {
                self.at += hashes;
                return true;
            }
        }
        true
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        self.token();
        self.at += 1;
        if self.peek(0) == b'\\' {
            self.at += 2;
            while !matches!(self.peek(0), b'\'' | b'\n' | 0) {
                self.at += 1;
            }
            self.at += usize::from(self.peek(0) == b'\'');
            return;
        }
        // One character of up to four bytes, then the other quote; else a lifetime.
        for length in 1..=4 {
            if self.peek(length) == b'\'' && (length == 1 || self.peek(0) >= 0x80) {
                self.line += usize::from(self.peek(0) == b'\n');
                self.at += length + 1;
                return;
            }
        }
    }

    fn skip_line(&mut self) {
        while !matches!(self.bytes.get(self.at), None | Some(b'\n')) {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) {
        let mut open = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    open += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return;
                    }
                }
                (0, _) if self.at >= self.bytes.len() => return,
                (byte, _) => {
                    self.line += usize::from(byte == b'\n');
                    self.at += 1;
                }
            }
        }
    }
}
