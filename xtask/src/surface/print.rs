//! Tokens as a person would write them, in one line.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of what was parsed: one space where rustfmt has one, and none where it has none.
pub(super) fn text(tokens: impl ToTokens) -> String {
    let mut printer = Printer { text: String::new(), before: Before::Nothing };
    printer.stream(tokens.into_token_stream());
    printer.text
}

/// What decides whether there is a space before the next token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The beginning, or what holds on to whatever follows.
    Nothing,
    /// A name or a literal.
    Word,
    /// A word that is never called: `impl`, `dyn`, `where`.
    Keyword,
    /// A `>` that closes.
    Angle,
    /// What is followed by a space.
    Apart,
}

struct Printer {
    text: String,
    before: Before,
}

impl Printer {
    fn stream(&mut self, tokens: TokenStream) {
        let mut joint = String::new();
        for token in tokens {
            match token {
                TokenTree::Punct(punct) => {
                    joint.push(punct.as_char());
                    // A lifetime's tick is joint to its name, `>>` closes twice.
                    let goes_on = punct.spacing() == Spacing::Joint
                        && matches!(joint.as_str(), "-" | "=" | ":" | "." | ".." | "&" | "!");
                    if !goes_on || is_whole(&joint) {
                        self.punct(&std::mem::take(&mut joint));
                    }
                }
                other => {
                    if !joint.is_empty() {
                        self.punct(&std::mem::take(&mut joint));
                    }
                    self.token(other);
                }
            }
        }
        if !joint.is_empty() {
            self.punct(&joint);
        }
    }

    fn token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Group(group) => self.group(&group),
            word => {
                if self.before != Before::Nothing {
                    self.text.push(' ');
                }
                let word = word.to_string();
                self.text.push_str(&word);
                let keyword = matches!(
                    word.as_str(),
                    "as" | "const" | "dyn" | "for" | "impl" | "in" | "mut" | "where" | "unsafe" | "async"
                );
                self.before = if keyword { Before::Keyword } else { Before::Word };
            }
        }
    }

    fn group(&mut self, group: &proc_macro2::Group) {
        let (open, close, is_apart) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")", !matches!(self.before, Before::Word | Before::Angle)),
            Delimiter::Bracket => ("[", "]", true),
            Delimiter::Brace => ("{ ", " }", true),
            Delimiter::None => ("", "", true),
        };
        if is_apart && self.before != Before::Nothing {
            self.text.push(' ');
        }
        self.text.push_str(open);
        self.before = Before::Nothing;
        self.stream(group.stream());
        while self.text.ends_with([' ', ',']) && !close.is_empty() {
            // A trailing comma is a matter of layout.
            self.text.pop();
        }
        self.text.push_str(close);
        self.before = Before::Angle;
    }

    fn punct(&mut self, punct: &str) {
        let (space, after) = match punct {
            "::" | "." | ".." | "..=" => (false, Before::Nothing),
            "," | ";" | ":" => (false, Before::Apart),
            "<" => (matches!(self.before, Before::Apart | Before::Keyword), Before::Nothing),
            ">" => (false, Before::Angle),
            "'" | "&" | "?" | "#" | "!" | "*" => (self.before != Before::Nothing, Before::Nothing),
            _ => (self.before != Before::Nothing, Before::Apart),
        };
        if punct == ">" && self.text.ends_with(',') {
            self.text.pop();
        }
        if space {
            self.text.push(' ');
        }
        self.text.push_str(punct);
        self.before = after;
    }
}

fn is_whole(punct: &str) -> bool {
    matches!(punct, "::" | "->" | "=>" | "==" | "..=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(source: &str) -> String {
        text(syn::parse_str::<syn::TraitItemFn>(source).expect("it is a signature").sig)
    }

    #[test]
    fn it_is_spaced_as_rustfmt_does() {
        for source in [
            "fn new(limit: u64) -> Result<Self, Invalid>",
            "async fn run<F, Fut, T, E>(&self, operation: F) -> Result<T, Error<E>> where F: FnMut() -> Fut, Fut: Future<Output = Result<T, E>>",
            "fn try_acquire(&self) -> Result<Permit<'_>, Rejected>",
            "fn get<Q>(&mut self, key: &Q) -> (u64, [u8; 4]) where K: Borrow<Q>, Q: Hash + ?Sized + 'static",
            "fn a(self: Pin<&mut Self>, f: impl Fn(&Transition) + Send, g: &'a dyn Fn(u64)) -> <L as Limiter>::Permit",
            "fn b(x: Vec<Vec<(&'static str, u64)>>, c: fn(u8) -> u8)",
        ] {
            assert_eq!(printed(&format!("{source};")), source);
        }
    }

    #[test]
    fn a_trailing_comma_is_layout() {
        assert_eq!(printed("fn f(\n    a: A<B,>,\n    b: C,\n);"), "fn f(a: A<B>, b: C)");
    }
}
