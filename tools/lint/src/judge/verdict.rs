use quote::ToTokens;
use syn::spanned::Spanned;

use crate::expand::MACRO;
use crate::finding::{Finding, Instead, Place, Position, Rank, Source, Suggestion};
use crate::judge::walker::Walker;
use crate::rule::Rule;

/// What is told of a site.
pub(crate) struct Verdict {
    pub(crate) rule: Rule,
    pub(crate) source: Source,
    /// The greatest rank it may have, whoever decides how many there are.
    pub(crate) most: Rank,
    pub(crate) message: String,
    pub(crate) facts: Vec<String>,
    pub(crate) plimsoll: String,
    pub(crate) tokio: String,
}

/// Characters of a site that are shown.
const SHOWN_MAX: usize = 120;

/// Characters of a site that tell it from others.
const ANCHOR_MAX: usize = 240;

/// How much it matters who decides, and when.
pub(crate) fn rank(source: Source, place: Place) -> Rank {
    match (source, place) {
        (_, Place::Test)
        | (Source::Constant, _)
        | (Source::Configuration | Source::Unknown, Place::StartUp) => Rank::Low,
        (Source::Configuration | Source::Unknown, _) | (Source::Input, Place::StartUp) => Rank::Medium,
        (Source::Input | Source::Peers, _) => Rank::High,
    }
}

impl Walker<'_> {
    /// Tells a site.
    pub(crate) fn tell(&mut self, site: &(impl Spanned + ToTokens), verdict: Verdict) {
        let place = self.place();
        self.tell_at(site, verdict, place);
    }

    /// Tells a call of a method, which begins where its name stands: what it is called on may be a chain of
    /// many lines.
    pub(crate) fn tell_method(&mut self, site: &syn::Expr, verdict: Verdict, place: Place) {
        self.tell_at(site, verdict, place);
        if let (syn::Expr::MethodCall(call), Some(told)) = (site, self.findings.last_mut()) {
            let begin = call.method.span().start();
            told.start = Position { line: begin.line, column: begin.column + 1 };
        }
    }

    /// Tells a site that runs at another time than the code around it.
    pub(crate) fn tell_at(&mut self, site: &(impl Spanned + ToTokens), verdict: Verdict, place: Place) {
        let span = site.span();
        let (start, end) = (span.start(), span.end());
        let position = |at: proc_macro2::LineColumn| Position { line: at.line, column: at.column + 1 };
        let mut facts = verdict.facts;
        facts.push(match place {
            Place::RequestPath => "it is on the path of a request".to_owned(),
            Place::Runtime => "it runs while the program runs".to_owned(),
            Place::StartUp => "it runs when something starts".to_owned(),
            Place::Test => "it is in a test, an example or a benchmark".to_owned(),
        });
        self.findings.push(Finding {
            rule: verdict.rule,
            path: self.file.path.to_owned(),
            start: position(start),
            end: position(end),
            function: self.function_path(),
            what: self.shown(site, SHOWN_MAX),
            message: verdict.message,
            facts,
            rank: rank(verdict.source, place).min(verdict.most),
            source: verdict.source,
            place,
            suggestions: vec![
                Suggestion { with: Instead::Plimsoll, code: verdict.plimsoll },
                Suggestion { with: Instead::Tokio, code: verdict.tokio },
            ],
            anchor: anchor(site),
            ordinal: 0,
            allowed: None,
        });
    }
}

/// The tokens of a site with single blanks between; commas before a closing bracket are formatting.
fn anchor(site: &impl ToTokens) -> String {
    let text = site.to_token_stream().to_string();
    let mut text =
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace(&format!("# [{MACRO}] "), "");
    for closer in [")", "]", "}"] {
        text = text.replace(&format!(" {closer}"), closer);
    }
    for closer in [")", "]", "}"] {
        text = text.replace(&format!(" ,{closer}"), closer).replace(&format!(",{closer}"), closer);
    }
    text.chars().take(ANCHOR_MAX).collect()
}
