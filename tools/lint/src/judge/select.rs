//! Loops that ask again at once.

use syn::{Block, Expr, Stmt};

use crate::expand::{DEFAULT, MACRO, SELECT};
use crate::finding::{Place, Rank, Source};
use crate::judge::frame::{Frame, Turn};
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{Reach, Within, any, compact, has_attribute, peeled};

/// Judges a `select!` with a default, and a `try_recv`, that a loop comes back to without a pause.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let Some((what, around)) = idle(walker, expr) else { return };
    // Only where the loop does nothing else is it sure that nothing else makes it wait.
    let Some(Frame::Turn(Turn::Loop { body, .. } | Turn::While { body, .. })) =
        walker.frames.iter().rev().find(|frame| matches!(frame, Frame::Turn(_)))
    else {
        return;
    };
    if !is_all_of(body, around) {
        return;
    }
    let place = match walker.place() {
        Place::StartUp => Place::Runtime,
        place => place,
    };
    let verdict = Verdict {
        rule: Rule::BusySelect,
        source: Source::Input,
        most: Rank::High,
        message: format!(
            "{what}, and the loop asks again at once: a processor is busy with asking for as long as nothing comes"
        ),
        facts: vec!["nothing in the loop sleeps, yields or waits".to_owned()],
        plimsoll: "let mut merged = Merge::builder(\"…\").build()?; // waits on all of them".to_owned(),
        tokio: "// leave the default out: select! waits; recv().await instead of try_recv()".to_owned(),
    };
    let begin = any_head(expr);
    walker.tell_at(begin, verdict, place);
}

/// What tells the site: the macro's name, or the call.
fn any_head(expr: &Expr) -> &Expr {
    match expr {
        Expr::Match(found) => &found.expr,
        Expr::If(found) => &found.cond,
        other => other,
    }
}

/// What is asked without waiting, and does nothing when there is nothing.
fn idle<'a>(walker: &Walker<'a>, expr: &'a Expr) -> Option<(&'static str, &'a Expr)> {
    match expr {
        Expr::Match(found) if has_attribute(&found.attrs, SELECT) => {
            // A default of crossbeam's may block, which is a pause; in a future nothing may.
            let is_async = found.arms.iter().any(waits);
            let idle = found.arms.iter().any(|arm| {
                is_always_ready(arm)
                    && (does_nothing(branch_body(arm)) || (is_async && goes_on(branch_body(arm))))
            });
            idle.then_some(("`select!` has a branch that is always ready and waits for nothing", expr))
        }
        Expr::Match(found) if is_try(&found.expr) => {
            let idle = found.arms.iter().filter(|arm| !compact(&arm.pat).starts_with("Ok"));
            let mut idle = idle.peekable();
            idle.peek()?;
            let empty = idle.any(|arm| {
                let pattern = compact(&arm.pat);
                (pattern.contains("Empty") || pattern == "_" || pattern.starts_with("Err(_"))
                    && does_nothing(&arm.body)
            });
            empty.then_some(("`try_recv` does nothing when there is nothing", expr))
        }
        Expr::If(found) => {
            let Expr::Let(cond) = &*found.cond else { return None };
            let silent = found.else_branch.as_ref().is_none_or(|(_, other)| does_nothing(other));
            let _ = walker;
            (silent && is_try(&cond.expr) && compact(&cond.pat).starts_with("Ok"))
                .then_some(("`try_recv` does nothing when there is nothing", expr))
        }
        _ => None,
    }
}

/// Whether a branch is a default, or waits for what is there already.
fn is_always_ready(arm: &syn::Arm) -> bool {
    if has_attribute(&arm.attrs, DEFAULT) {
        return true;
    }
    let Expr::Block(found) = &*arm.body else { return false };
    let Some(Stmt::Local(waits)) = found.block.stmts.first() else { return false };
    waits.init.as_ref().is_some_and(|init| match peeled(&init.expr) {
        Expr::Call(call) => matches!(
            compact(&call.func).as_str(),
            "ready" | "future::ready" | "std::future::ready" | "futures::future::ready"
        ),
        Expr::Async(inner) => inner.block.stmts.is_empty(),
        _ => false,
    })
}

/// What a branch does when its future is ready.
fn branch_body(arm: &syn::Arm) -> &Expr {
    match &*arm.body {
        Expr::Block(found) => match found.block.stmts.last() {
            Some(Stmt::Expr(body, _)) => body,
            _ => &arm.body,
        },
        other => other,
    }
}

/// Whether a branch awaits a future.
fn waits(arm: &syn::Arm) -> bool {
    let Expr::Block(found) = &*arm.body else { return false };
    let Some(Stmt::Local(bound)) = found.block.stmts.first() else { return false };
    bound.init.as_ref().is_some_and(|init| matches!(&*init.expr, Expr::Await(_)))
}

/// Whether a branch neither awaits anything nor leaves the loop.
fn goes_on(body: &Expr) -> bool {
    !any(Within::Expr(body), Reach::Now, |expr| {
        matches!(expr, Expr::Await(_) | Expr::Break(_) | Expr::Return(_) | Expr::Macro(_) | Expr::Try(_))
    })
}

fn is_try(expr: &Expr) -> bool {
    matches!(peeled(expr), Expr::MethodCall(call) if call.method == "try_recv" && call.args.is_empty())
}

fn does_nothing(body: &Expr) -> bool {
    match body {
        Expr::Block(found) => found.block.stmts.iter().all(|stmt| match stmt {
            Stmt::Expr(expr, _) => does_nothing(expr),
            _ => false,
        }),
        Expr::Tuple(found) => found.elems.is_empty(),
        Expr::Continue(_) => true,
        Expr::Call(call) => compact(&call.func).ends_with("spin_loop"),
        _ => false,
    }
}

/// Whether a loop consists of what asks, beside bindings and logging: nothing else could wait.
fn is_all_of(body: &Block, asks: &Expr) -> bool {
    let calls = |stmt: &Stmt| {
        any(Within::Stmts(std::slice::from_ref(stmt)), Reach::Now, |expr| match expr {
            Expr::MethodCall(_) | Expr::Await(_) | Expr::Macro(_) => true,
            Expr::Call(call) => !has_attribute(&call.attrs, MACRO),
            _ => false,
        })
    };
    let holds = |stmt: &Stmt| matches!(stmt, Stmt::Expr(expr, _) if std::ptr::eq(expr, asks));
    body.stmts.iter().any(holds) && body.stmts.iter().all(|stmt| holds(stmt) || !calls(stmt))
}
