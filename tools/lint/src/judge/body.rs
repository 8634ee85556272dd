//! Bodies and streams that are read to their end, wherever that is.

use syn::Expr;

use crate::finding::{Place, Rank, Source};
use crate::judge::bounds::is_no_limit;
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{callee, compact, path_text, peeled};

/// Judges what reads all that the other side sends.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    match expr {
        Expr::Call(call) => {
            let Some(path) = callee(call) else { return };
            let full = walker.file.imports.full(&path_text(path));
            if full.ends_with("to_bytes") && call.args.len() <= 2 {
                let unlimited = match call.args.len() {
                    2 => is_no_limit(&call.args[1]),
                    1 => full.contains("body") && !compact(&call.args[0]).contains("Limited"),
                    _ => false,
                };
                if unlimited {
                    told(walker, expr, &call.args[0]);
                }
            } else if full.ends_with("DefaultBodyLimit::disable")
                && !compact_function(walker).contains("LimitLayer")
            {
                told_disabled(walker, expr);
            }
        }
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "to_bytes" | "aggregate" if call.args.is_empty() => collected(walker, expr, &call.receiver),
            "text" | "bytes" if call.args.is_empty() => answered(walker, expr, call),
            "read_line" | "read_until" | "read_to_end" | "read_to_string" if !call.args.is_empty() => {
                to_end(walker, expr, call);
            }
            _ => {}
        },
        _ => {}
    }
}

fn compact_function(walker: &Walker<'_>) -> String {
    walker.functions.last().map_or_else(String::new, |function| compact(function.body))
}

/// `body.collect().await?.to_bytes()`.
fn collected<'a>(walker: &mut Walker<'a>, expr: &'a Expr, receiver: &'a Expr) {
    let mut inner = peeled(receiver);
    while let Expr::MethodCall(call) = inner {
        if call.method == "collect" && call.args.is_empty() && call.turbofish.is_none() {
            let ty = walker.type_of(&call.receiver).unwrap_or_default();
            let text = compact(&call.receiver);
            if !text.contains("Limited") && !ty.contains("Limited") && !text.contains("limit") {
                told(walker, expr, &call.receiver);
            }
            return;
        }
        if !matches!(
            call.method.to_string().as_str(),
            "unwrap" | "expect" | "map_err" | "context" | "with_context"
        ) {
            return;
        }
        inner = peeled(&call.receiver);
    }
}

/// `response.bytes().await` of a client.
fn answered<'a>(walker: &mut Walker<'a>, expr: &'a Expr, call: &'a syn::ExprMethodCall) {
    let awaited =
        matches!(walker.parents.len().checked_sub(2).map(|nth| walker.parents[nth]), Some(Expr::Await(_)));
    let name = crate::syntax::last_name(&call.receiver);
    if awaited && matches!(name.as_str(), "response" | "resp" | "send" | "res") {
        told(walker, expr, &call.receiver);
    }
}

/// `socket.read_to_end(&mut buffer).await`.
fn to_end<'a>(walker: &mut Walker<'a>, expr: &'a Expr, call: &'a syn::ExprMethodCall) {
    let buffered = call.args.last().is_some_and(|buffer| matches!(buffer, Expr::Reference(_)));
    let awaited =
        matches!(walker.parents.len().checked_sub(2).map(|nth| walker.parents[nth]), Some(Expr::Await(_)));
    let origin = walker.origin(&call.receiver);
    if !awaited || origin.source < Source::Input || origin.bound.is_some() {
        return;
    }
    if buffered || is_no_limit(&call.args[0]) {
        told(walker, expr, &call.receiver);
    }
}

fn told<'a>(walker: &mut Walker<'a>, expr: &'a Expr, body: &'a Expr) {
    let origin = walker.origin(body);
    let text = compact(body);
    let answer = origin.because.contains("answer")
        || text.contains("res.")
        || text.contains("resp")
        || text.contains("response");
    // Whose answer is read is chosen by this side; who asks is not.
    let most = if answer || !origin.is_fed() { Rank::Medium } else { Rank::High };
    let shown = walker.shown(peeled(body), 50);
    let whose = if answer { "who answers" } else { "who sends it" };
    let verdict = Verdict {
        rule: Rule::UnboundedBody,
        source: Source::Input,
        most,
        message: format!("all of `{shown}` is read into memory, and {whose} decides how much that is"),
        facts: vec!["no limit stands in the call, nor around the body".to_owned()],
        plimsoll:
            "let room = bodies.acquire_many(length).await; // a weighted Semaphore, in bytes, over all bodies"
                .to_owned(),
        tokio: format!("http_body_util::Limited::new({shown}, 1 << 20) // or a reader with .take(1 << 20)"),
    };
    walker.tell(expr, verdict);
}

fn told_disabled<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let place = match walker.place() {
        Place::StartUp => Place::Runtime,
        place => place,
    };
    let verdict = Verdict {
        rule: Rule::UnboundedBody,
        source: Source::Input,
        most: Rank::Medium,
        message: "the limit of axum on bodies is taken away, and none is put in its place here: who sends decides how much is read".to_owned(),
        facts: vec!["no other limit on bodies is set in this function".to_owned()],
        plimsoll: "let room = bodies.acquire_many(length).await; // a weighted Semaphore, in bytes, over all bodies".to_owned(),
        tokio: "DefaultBodyLimit::max(16 << 20)".to_owned(),
    };
    walker.tell_at(expr, verdict, place);
}
