use crate::finding::Rank;

/// Whether text has colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As it is.
    Plain,
    /// With the escapes of a terminal.
    Colours,
}

impl Style {
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn mark(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(super) fn rank(self, rank: Rank, text: &str) -> String {
        let code = match rank {
            Rank::High => "1;31",
            Rank::Medium => "1;33",
            Rank::Low => "1;36",
        };
        self.wrap(code, text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
