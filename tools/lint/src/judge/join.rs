//! Everything at once: `join_all`, `FuturesUnordered`, and adapters told to have no limit.

use syn::{Expr, Pat, Stmt};

use crate::finding::{Place, Rank, Source};
use crate::judge::bounds;
use crate::judge::walker::Walker;
use crate::judge::{spawn, verdict::Verdict};
use crate::origin::Origin;
use crate::rule::Rule;
use crate::syntax::{callee, compact, has_word, head, path_text, peeled, variable};

/// Judges what starts as many operations as there are items.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    match expr {
        Expr::Call(call) => {
            let Some(path) = callee(call) else { return };
            let text = walker.file.imports.full(&path_text(path));
            let last = text.rsplit("::").next().unwrap_or_default();
            if matches!(last, "join_all" | "try_join_all" | "select_all" | "select_ok")
                && let Some(over) = call.args.first()
                && call.args.len() == 1
            {
                all(walker, expr, last, over);
            }
        }
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "push" | "push_back" | "push_front" => pushed(walker, expr, call),
            "collect" => collected(walker, expr, call),
            "for_each_concurrent"
            | "try_for_each_concurrent"
            | "buffer_unordered"
            | "buffered"
            | "try_buffer_unordered"
            | "try_buffered"
            | "flat_map_unordered"
            | "flatten_unordered" => {
                unlimited(walker, expr, call);
            }
            _ => {}
        },
        _ => {}
    }
}

fn all<'a>(walker: &mut Walker<'a>, expr: &'a Expr, how: &str, over: &'a Expr) {
    let origin = walker.origin(over);
    let handles = are_handles(walker, over);
    let counted = variable(root(over)).is_some_and(|name| walker.is_counted(&name));
    if handles
        || counted
        || how.starts_with("select")
        || origin.bound.is_some()
        || origin.source == Source::Constant
    {
        return;
    }
    let name = walker.shown(root(over), 60);
    let work = work_in(walker, over);
    told(walker, expr, &origin, how, &name, &work);
}

/// Whether what is joined was started elsewhere: then that is the place to bound it.
fn are_handles(walker: &Walker<'_>, over: &Expr) -> bool {
    let name = variable(over).or_else(|| variable(root(over))).unwrap_or_default();
    let text = compact(over);
    has_word(&name, &["handle", "handles", "task", "tasks", "join", "joins", "workers", "threads", "jhs"])
        || walker.holds_handles(&name)
        || text.contains("spawn(")
        || has_word(&text, &["handles"])
        || walker.type_of(over).is_some_and(|ty| ty.contains("JoinHandle"))
}

/// What is gone over, without the adapters after it.
fn root(expr: &Expr) -> &Expr {
    match peeled(expr) {
        Expr::MethodCall(call) if crate::origin::passes_on(&call.method.to_string()) => root(&call.receiver),
        other => other,
    }
}

fn work_in(walker: &Walker<'_>, expr: &Expr) -> String {
    match peeled(expr) {
        Expr::MethodCall(call) => match call.args.first().map(peeled) {
            Some(Expr::Closure(closure)) => match peeled(&closure.body) {
                Expr::Async(_) | Expr::Block(_) => "work".to_owned(),
                Expr::Call(found) => walker.shown(&found.func, 40),
                _ => "work".to_owned(),
            },
            Some(Expr::Path(path)) => path_text(&path.path),
            _ => work_in(walker, &call.receiver),
        },
        _ => "work".to_owned(),
    }
}

fn told<'a>(walker: &mut Walker<'a>, expr: &'a Expr, origin: &Origin, how: &str, over: &str, work: &str) {
    let from =
        if origin.source == Source::Unknown { String::new() } else { format!(", from {}", origin.because) };
    let place = match walker.place() {
        Place::StartUp if origin.live => Place::Runtime,
        place => place,
    };
    let verdict = Verdict {
        rule: Rule::UnboundedJoin,
        source: origin.source,
        // What comes through a queue was let in somewhere else, maybe within a bound.
        most: if origin.queued { Rank::Medium } else { Rank::High },
        message: format!(
            "`{how}` has the work for every item of `{over}`{from} under way at once: 5,000 of them are 5,000 at once"
        ),
        facts: vec![format!("`{how}` has no limit, and nothing here cuts `{over}` into parts")],
        plimsoll: format!("plimsoll::map({over}, 32, {work}).await?;"),
        tokio: format!("futures::stream::iter({over}).map({work}).buffered(32).collect::<Vec<_>>().await;"),
    };
    walker.tell_at(expr, verdict, place);
}

fn is_unordered(ty: &str) -> bool {
    matches!(head(ty), "FuturesUnordered" | "FuturesOrdered" | "FutureQueue" | "FuturesUnorderedBounded")
}

fn pushed<'a>(walker: &mut Walker<'a>, expr: &'a Expr, call: &'a syn::ExprMethodCall) {
    let is_set = walker.type_of(&call.receiver).is_some_and(|ty| is_unordered(&ty));
    let Some(put) = call.args.first() else { return };
    if !is_set || spawn::started(walker, peeled(put)).is_some() || are_handles(walker, put) {
        return;
    }
    let Some(round) = walker.turn() else { return };
    if round.bound.is_some()
        || round.origin.bound.is_some()
        || round.is_range && !round.origin.is_fed()
        || round.over.is_empty()
    {
        return;
    }
    if round.origin.source == Source::Constant {
        return;
    }
    let over = if round.origin.live { round.item.clone() } else { round.over.clone() };
    told(walker, expr, &round.origin, "FuturesUnordered", &over, "work");
}

fn collected<'a>(walker: &mut Walker<'a>, expr: &'a Expr, call: &'a syn::ExprMethodCall) {
    let told_type = call.turbofish.as_ref().map(compact).unwrap_or_default();
    let bound_type = match walker.statement() {
        Some(Stmt::Local(local)) => match &local.pat {
            Pat::Type(typed) => compact(&typed.ty),
            _ => String::new(),
        },
        _ => String::new(),
    };
    if !told_type.contains("Futures") && !bound_type.starts_with("Futures") {
        return;
    }
    let origin = walker.origin(&call.receiver);
    if are_handles(walker, &call.receiver) || origin.bound.is_some() || origin.source == Source::Constant {
        return;
    }
    let name = walker.shown(root(&call.receiver), 60);
    let work = work_in(walker, &call.receiver);
    told(walker, expr, &origin, "FuturesUnordered", &name, &work);
}

fn unlimited<'a>(walker: &mut Walker<'a>, expr: &'a Expr, call: &'a syn::ExprMethodCall) {
    let Some(limit) = call.args.first() else { return };
    let method = call.method.to_string();
    let text = compact(peeled(limit));
    let each = method.contains("each");
    if text == "0" && !each {
        return; // nothing at all: the rule of a zero limit
    }
    let value = walker.value_of(limit);
    let as_many = matches!(peeled(value), Expr::MethodCall(found) if found.method == "len");
    if !bounds::is_no_limit(value) && !as_many {
        return;
    }
    let origin = walker.origin(&call.receiver);
    if origin.bound.is_some() || origin.source == Source::Constant {
        return;
    }
    let over = walker.shown(root(&call.receiver), 60);
    let from =
        if origin.source == Source::Unknown { String::new() } else { format!(", from {}", origin.because) };
    let place = match walker.place() {
        Place::StartUp if origin.live => Place::Runtime,
        place => place,
    };
    let work = call.args.iter().nth(1).map_or_else(|| work_in(walker, &call.receiver), |_| "work".to_owned());
    let verdict = Verdict {
        rule: Rule::UnboundedBuffer,
        source: origin.source,
        most: Rank::High,
        message: format!(
            "`{method}({text}, …)` limits nothing: every item of `{over}`{from} is worked on at once"
        ),
        facts: vec![format!("its limit is `{text}`")],
        plimsoll: format!("plimsoll::map_stream({over}, 32, {work}).await?;"),
        tokio: format!("{method}(32{})", if each { format!(", {work}") } else { String::new() }),
    };
    walker.tell_method(expr, verdict, place);
}
