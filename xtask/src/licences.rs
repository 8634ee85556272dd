//! Which licences third-party code may have, by its SPDX expression.

/// Licences that ask for no more than a notice. `deny.toml` has the same list.
pub(crate) const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Exceptions that only add permissions.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// How deep parentheses may nest: far more than any licence needs, and a bound on the recursion.
const DEPTH_MAX: usize = 16;

/// Whether somebody may choose allowed licences only under this expression.
///
/// `A/B`, the old way of cargo to write `A OR B`, is understood.
///
/// # Errors
/// What is wrong with an expression that is not SPDX.
pub(crate) fn allowed(expression: &str) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = Words { words: spaced.split_whitespace().collect(), at: 0 };
    let verdict = words.any(0)?;
    match words.next() {
        None => Ok(verdict),
        Some(word) => Err(format!("`{expression}`: `{word}` is not expected where it stands")),
    }
}

struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += usize::from(word.is_some());
        word
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    // AND binds more tightly than OR.
    fn any(&mut self, depth: usize) -> Result<bool, String> {
        let mut verdict = self.all(depth)?;
        while self.take("OR") {
            verdict |= self.all(depth)?;
        }
        Ok(verdict)
    }

    fn all(&mut self, depth: usize) -> Result<bool, String> {
        let mut verdict = self.one(depth)?;
        while self.take("AND") {
            verdict &= self.one(depth)?;
        }
        Ok(verdict)
    }

    fn one(&mut self, depth: usize) -> Result<bool, String> {
        if depth > DEPTH_MAX {
            return Err(format!("parentheses nest deeper than {DEPTH_MAX}"));
        }
        if self.take("(") {
            let verdict = self.any(depth + 1)?;
            return if self.take(")") { Ok(verdict) } else { Err("a `)` is missing".to_owned()) };
        }
        let licence = match self.next() {
            None => return Err("the expression ends where a licence should stand".to_owned()),
            Some(word @ (")" | "AND" | "OR" | "WITH")) => {
                return Err(format!("`{word}` stands where a licence should"));
            }
            Some(licence) => licence,
        };
        let mut verdict = ALLOWED.contains(&licence);
        if self.take("WITH") {
            let exception = self.next().ok_or("WITH names no exception")?;
            verdict &= EXCEPTIONS.contains(&exception);
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_is_enough_for_or_and_all_are_needed_for_and() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "Apache-2.0 AND ISC",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
        ] {
            assert_eq!(allowed(good), Ok(true), "{good}");
        }
        for bad in [
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND MPL-2.0",
            "MIT AND (GPL-2.0-only OR MPL-2.0)",
            "Apache-2.0 WITH Classpath-exception-2.0",
        ] {
            assert_eq!(allowed(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn and_binds_more_tightly_than_or() {
        assert_eq!(allowed("MIT OR GPL-2.0-only AND MPL-2.0"), Ok(true));
        assert_eq!(allowed("GPL-2.0-only AND MPL-2.0 OR MIT"), Ok(true));
        assert_eq!(allowed("(MIT OR GPL-2.0-only) AND MPL-2.0"), Ok(false));
    }

    #[test]
    fn what_is_not_spdx_is_an_error_and_not_a_verdict() {
        for broken in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT Apache-2.0", "Apache-2.0 WITH"] {
            assert!(allowed(broken).is_err(), "{broken}");
        }
        let nested = format!("{}MIT{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(allowed(&nested).is_err());
    }
}
