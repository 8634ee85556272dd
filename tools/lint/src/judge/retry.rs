//! What tries again for ever.

use syn::{Block, Expr, Pat, Stmt};

use crate::facts::Role;
use crate::finding::{Place, Rank, Source};
use crate::judge::repeat::sleeps;
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{Reach, Within, any, callee, compact, has_attribute, has_word, path_text, peeled};

/// Judges loops that go round until something succeeds.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let tried = match expr {
        Expr::Loop(found) if !ends(&found.body) => until_ok(&found.body),
        Expr::While(found) if !ends(&found.body) && !compares(&found.cond) => {
            if is_true(&found.cond) {
                until_ok(&found.body)
            } else {
                until_not_err(&found.cond, &found.body)
            }
        }
        _ => None,
    };
    let Some(tried) = tried.filter(|_| !is_timed(walker, expr)) else { return };
    let asks = walker.place() == Place::RequestPath && walker.role() == Role::Handler;
    let what = walker.shown(tried, 60);
    let body = match expr {
        Expr::Loop(found) => &found.body,
        Expr::While(found) => &found.body,
        _ => return,
    };
    let pauses = any(Within::Block(body), Reach::Now, |inner| sleeps(inner).is_some());
    let verdict = Verdict {
        rule: Rule::UnboundedRetry,
        source: if asks { Source::Peers } else { Source::Unknown },
        most: Rank::High,
        message: format!(
            "`{what}` is tried again until it succeeds: while the other side is down this never ends"
        ),
        facts: vec![
            "no attempt is counted, and no clock is looked at".to_owned(),
            if pauses {
                "it pauses between the attempts".to_owned()
            } else {
                "there is no pause between the attempts".to_owned()
            },
        ],
        plimsoll: format!(
            "retry::Policy::exponential(Duration::from_millis(100)).attempts(3).budget(&retries).run(|| {what}).await?;"
        ),
        tokio: format!(
            "for attempt in 0..3_u32 {{\n    match {what}.await {{\n        Ok(done) => return Ok(done),\n        Err(error) if attempt == 2 => return Err(error),\n        Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,\n    }}\n}}"
        ),
    };
    // The head tells the loop: its whole text would be a different one after each change in it.
    walker.tell(tried, verdict);
}

/// Whether a time-out is put around a loop.
fn is_timed(walker: &Walker<'_>, found: &Expr) -> bool {
    let Some(function) = walker.functions.last() else { return false };
    any(Within::Block(function.body), Reach::All, |outer| match outer {
        Expr::Call(call) if callee(call).is_some_and(|path| path_text(path).contains("timeout")) => {
            call.args.iter().any(|arg| any(Within::Expr(arg), Reach::All, |inner| std::ptr::eq(inner, found)))
        }
        _ => false,
    })
}

fn is_true(cond: &Expr) -> bool {
    compact(cond) == "true"
}

/// Words of what ends a loop of attempts.
const ENDS: &[&str] = &[
    "attempt",
    "attempts",
    "retries",
    "retry",
    "tries",
    "deadline",
    "elapsed",
    "timeout",
    "backoff",
    "max",
    "remaining",
    "shutdown",
    "cancel",
    "cancelled",
    "stop",
    "token",
    "exit",
    "closed",
    "budget",
    "limit",
    "interval",
    "tick",
];

/// Whether something in a loop of attempts counts them, looks at a clock, or can be told to end.
fn ends(body: &Block) -> bool {
    any(Within::Block(body), Reach::Now, |expr| match expr {
        Expr::Binary(_) => compares(expr),
        Expr::MethodCall(call) => has_word(&call.method.to_string(), ENDS),
        Expr::Call(call) => callee(call).is_some_and(|path| has_word(&path_text(path), ENDS)),
        Expr::Path(path) => has_word(&path_text(&path.path), ENDS),
        Expr::Field(field) => has_word(&compact(&field.member), ENDS),
        Expr::Match(found) => has_attribute(&found.attrs, crate::expand::SELECT),
        Expr::Try(_) => true,
        _ => false,
    })
}

fn compares(cond: &Expr) -> bool {
    any(Within::Expr(cond), Reach::Now, |expr| match expr {
        Expr::Binary(binary) => {
            use syn::BinOp::{Eq, Ge, Gt, Le, Lt};
            matches!(binary.op, Lt(_) | Le(_) | Gt(_) | Ge(_) | Eq(_))
        }
        _ => false,
    })
}

/// What a loop tries: a call that is awaited and whose `Ok` leaves the loop while no `Err` does.
fn until_ok(body: &Block) -> Option<&Expr> {
    let mut tried =
        body.stmts.iter().enumerate().find_map(|(nth, stmt)| let_else(stmt, &body.stmts[nth + 1..]));
    if tried.is_some() {
        return tried;
    }
    any(Within::Block(body), Reach::Now, |expr| {
        match expr {
            Expr::Match(found) if is_call(&found.expr) => {
                let ok = found.arms.iter().any(|arm| is_variant(&arm.pat, "Ok") && leaves(&arm.body));
                let err = found.arms.iter().filter(|arm| !is_variant(&arm.pat, "Ok"));
                let mut errs = err.peekable();
                if ok && errs.peek().is_some() && errs.all(|arm| !leaves(&arm.body) && !changes(&arm.body)) {
                    tried = Some(peeled(&found.expr));
                }
            }
            Expr::If(found) => {
                if let Expr::Let(cond) = &*found.cond
                    && is_variant(&cond.pat, "Ok")
                    && is_call(&cond.expr)
                    && any(Within::Block(&found.then_branch), Reach::Now, is_exit)
                    && !found.else_branch.as_ref().is_some_and(|(_, other)| leaves(other))
                {
                    tried = Some(peeled(&cond.expr));
                }
            }
            _ => {}
        }
        tried.is_some()
    });
    tried
}

/// `let Ok(value) = attempt().await else { continue };`, and the loop is left after it.
fn let_else<'a>(stmt: &'a Stmt, rest: &'a [Stmt]) -> Option<&'a Expr> {
    let Stmt::Local(local) = stmt else { return None };
    let init = local.init.as_ref()?;
    let (_, other) = init.diverge.as_ref()?;
    let goes_on = !leaves(other) && is_variant(&local.pat, "Ok") && is_call(&init.expr);
    let ends = matches!(rest.last(), Some(Stmt::Expr(last, _)) if is_exit(last));
    (goes_on && ends).then(|| peeled(&init.expr))
}

fn until_not_err<'a>(cond: &'a Expr, body: &'a Block) -> Option<&'a Expr> {
    let sleeping = any(Within::Block(body), Reach::Now, |expr| sleeps(expr).is_some());
    let on = match cond {
        Expr::MethodCall(call) if call.method == "is_err" => Some(&*call.receiver),
        Expr::Let(found) if is_variant(&found.pat, "Err") => Some(&*found.expr),
        _ => None,
    }?;
    let exits = any(Within::Block(body), Reach::Now, is_exit);
    ((sleeping || body.stmts.is_empty()) && !exits && is_call(on)).then(|| peeled(on))
}

/// Whether an expression calls something that is waited for, and is no source of items.
fn is_call(expr: &Expr) -> bool {
    if !any(Within::Expr(expr), Reach::Now, |inner| matches!(inner, Expr::Await(_))) {
        return false;
    }
    let name = match peeled(expr) {
        Expr::Call(call) => callee(call).map(path_text).unwrap_or_default(),
        Expr::MethodCall(call) => call.method.to_string(),
        _ => return false,
    };
    !has_word(
        name.rsplit("::").next().unwrap_or_default(),
        &[
            "recv", "next", "accept", "read", "receive", "changed", "poll", "lock", "wait", "try", "pop",
            "join", "acquire",
        ],
    )
}

fn is_variant(pat: &Pat, name: &str) -> bool {
    match pat {
        Pat::TupleStruct(found) => found.path.segments.last().is_some_and(|last| last.ident == name),
        Pat::Or(found) => found.cases.iter().any(|case| is_variant(case, name)),
        _ => false,
    }
}

fn is_exit(expr: &Expr) -> bool {
    matches!(expr, Expr::Break(_) | Expr::Return(_))
}

fn leaves(expr: &Expr) -> bool {
    any(Within::Expr(expr), Reach::Now, is_exit)
}

/// Whether the next attempt is another one: another address, a new token.
fn changes(expr: &Expr) -> bool {
    any(Within::Expr(expr), Reach::Now, |inner| match inner {
        Expr::Assign(_) => true,
        Expr::Binary(binary) => matches!(binary.op, syn::BinOp::AddAssign(_) | syn::BinOp::SubAssign(_)),
        Expr::Macro(found) => {
            found.mac.path.segments.last().is_some_and(|last| {
                matches!(last.ident.to_string().as_str(), "panic" | "unreachable" | "bail")
            })
        }
        Expr::Call(call) => callee(call).is_some_and(|path| {
            let text = path_text(path);
            matches!(text.rsplit("::").next().unwrap_or_default(), "panic" | "exit" | "unreachable" | "bail")
        }),
        _ => false,
    })
}
