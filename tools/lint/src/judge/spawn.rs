//! Tasks and threads: what is started, how often, and who has its handle.

use syn::{Expr, Pat, Stmt};

use crate::facts::Role;
use crate::judge::repeat;
use crate::judge::walker::Walker;
use crate::scope::From;
use crate::syntax::{
    Reach, Within, any, bound_names, callee, compact, has_word, head, mentions, path_text, peeled, variable,
};

/// Something that is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A task, whose handle is given back.
    Task,
    /// A task of a `JoinSet` or a tracker, which keeps it.
    Owned,
    Thread,
}

/// A place where something is started.
pub(crate) struct Spawn<'a> {
    pub(crate) kind: Kind,
    pub(crate) future: &'a Expr,
}

/// What becomes of the handle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Handle {
    Dropped,
    Bound(String),
    Awaited,
    /// It is pushed, returned, put in a field: somebody has it.
    Passed,
}

/// What a call starts, if it starts something.
pub(crate) fn started<'a>(walker: &Walker<'_>, expr: &'a Expr) -> Option<Spawn<'a>> {
    match expr {
        Expr::Call(call) => {
            let path = walker.file.imports.full(&path_text(callee(call)?));
            let future = call.args.last()?;
            let kind = kind_of_path(&path)?;
            Some(Spawn { kind, future })
        }
        Expr::MethodCall(call) => {
            let future = call.args.last()?;
            let kind = kind_of_method(walker, call, future)?;
            Some(Spawn { kind, future })
        }
        _ => None,
    }
}

/// What is handed over to run by itself.
pub(crate) fn future_of<'a>(walker: &Walker<'_>, expr: &'a Expr) -> Option<&'a Expr> {
    started(walker, expr).map(|spawn| spawn.future)
}

fn kind_of_path(path: &str) -> Option<Kind> {
    let (before, last) = path.rsplit_once("::")?;
    let module = before.rsplit("::").next().unwrap_or_default();
    match (module, last) {
        ("thread", "spawn") => Some(Kind::Thread),
        (
            "tokio" | "task" | "async_std" | "smol" | "actix_rt" | "rt" | "actix" | "runtime"
            | "async_executor" | "async_runtime" | "n0_future" | "executor",
            "spawn" | "spawn_local" | "spawn_blocking" | "spawn_named" | "spawn_on",
        ) => Some(Kind::Task),
        _ => None,
    }
}

fn kind_of_method(walker: &Walker<'_>, call: &syn::ExprMethodCall, future: &Expr) -> Option<Kind> {
    let method = call.method.to_string();
    if !matches!(
        method.as_str(),
        "spawn" | "spawn_local" | "spawn_blocking" | "spawn_on" | "spawn_named" | "spawn_ok"
    ) {
        return None;
    }
    let on = compact(&call.receiver);
    if on.contains("thread::Builder::new()") || on.starts_with("Builder::new()") {
        return Some(Kind::Thread);
    }
    let ty = walker.type_of(&call.receiver).unwrap_or_default();
    match head(&ty) {
        "JoinSet" | "TaskTracker" | "JoinMap" | "Tasks" | "TaskGroup" => return Some(Kind::Owned),
        "Handle" | "Runtime" | "LocalSet" | "TaskExecutor" | "Executor" => return Some(Kind::Task),
        _ if matches!(future, Expr::Closure(_))
            && method == "spawn"
            && walker.file.text.contains("thread::scope") =>
        {
            return Some(Kind::Thread);
        }
        "Scope" => return matches!(future, Expr::Closure(_)).then_some(Kind::Thread),
        // A group of Plimsoll waits for a place before it spawns; a pool refuses.
        "Group" | "Pool" | "CpuPool" | "Command" => return None,
        _ => {}
    }
    let last = on.rsplit(['.', ':']).next().unwrap_or_default().trim_end_matches("()");
    if has_word(last, &["handle", "runtime", "rt", "current", "executor", "tokio"])
        || matches!(&*call.receiver, Expr::Path(path) if path.path.segments.len() > 1 && has_word(&on, &["runtime"]))
    {
        return Some(Kind::Task);
    }
    if has_word(last, &["set", "joinset", "tracker", "tasks"]) {
        return Some(Kind::Owned);
    }
    // A `spawn` of the program's own, to which a future is handed: who has the handle cannot be told.
    let is_future = matches!(peeled(future), Expr::Async(_)) && method == "spawn";
    is_future.then_some(Kind::Owned)
}

/// Judges what is started here.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let Some(spawn) = started(walker, expr) else { return };
    let handle = handle(walker, expr);
    if handle == Handle::Awaited || is_bounded_group(walker, expr) {
        return;
    }
    if repeat::judge_sleeper(walker, expr, &spawn, &handle) || repeat::judge_recursion(walker, expr, &spawn) {
        return;
    }
    if !repeat::judge_loop(walker, expr, &spawn, &handle) {
        repeat::judge_dropped(walker, expr, &spawn, &handle);
    }
}

fn is_bounded_group(walker: &Walker<'_>, expr: &Expr) -> bool {
    let Expr::MethodCall(call) = expr else { return false };
    matches!(head(&walker.type_of(&call.receiver).unwrap_or_default()), "Group" | "Pool" | "CpuPool")
}

/// What becomes of the handle that an expression gives.
pub(crate) fn handle(walker: &Walker<'_>, expr: &Expr) -> Handle {
    let mut inner = expr;
    // `spawn(…).instrument(span).await`, `builder.spawn(…)?`: the handle goes through what is around it.
    for above in walker.parents.iter().rev().skip(1) {
        match above {
            Expr::Await(_) => return Handle::Awaited,
            Expr::Call(call) if callee(call).is_some_and(|path| path.is_ident("drop")) => {
                return Handle::Dropped;
            }
            Expr::MethodCall(call) if std::ptr::eq(&*call.receiver, inner) => {
                match call.method.to_string().as_str() {
                    "join" => return Handle::Awaited,
                    "abort_handle" => return Handle::Passed,
                    _ => {}
                }
            }
            Expr::Try(_) => {}
            _ => return Handle::Passed,
        }
        inner = *above;
    }
    of_statement(walker, inner)
}

fn of_statement(walker: &Walker<'_>, expr: &Expr) -> Handle {
    match walker.statement() {
        Some(Stmt::Expr(whole, Some(_))) if std::ptr::eq(whole, expr) => Handle::Dropped,
        Some(Stmt::Local(local))
            if local.init.as_ref().is_some_and(|init| std::ptr::eq(&*init.expr, expr)) =>
        {
            match &local.pat {
                Pat::Wild(_) => Handle::Dropped,
                Pat::Type(typed) if matches!(&*typed.pat, Pat::Wild(_)) => Handle::Dropped,
                pat => named(walker, bound_names(pat).into_iter().next()),
            }
        }
        _ => Handle::Passed,
    }
}

fn named(walker: &Walker<'_>, name: Option<String>) -> Handle {
    match name {
        // `_task` is let go at the end of the block, which ends nothing.
        Some(name) if name.starts_with('_') && !mentions(Within::Stmts(walker.rest_of_block()), &name) => {
            Handle::Dropped
        }
        Some(name) => Handle::Bound(name),
        None => Handle::Passed,
    }
}

/// Whether a task is the driver of a connection that this side has opened: its client waits for what it
/// does, and it ends with the client.
pub(crate) fn is_driver(walker: &Walker<'_>, future: &Expr) -> bool {
    let driven = match peeled(future) {
        Expr::Async(found) => {
            let mut awaited = None;
            let only = !any(Within::Block(&found.block), Reach::Now, |expr| match expr {
                Expr::Await(found) => {
                    let name = variable(&found.base).or_else(|| match &*found.base {
                        Expr::MethodCall(call) => variable(&call.receiver),
                        _ => None,
                    });
                    let differs = awaited.is_some() && name != awaited;
                    awaited = name.or(Some(String::new()));
                    differs
                }
                _ => false,
            });
            if only { awaited } else { None }
        }
        Expr::MethodCall(call) => variable(&call.receiver),
        other => variable(other),
    };
    let Some(driven) = driven.filter(|name| !name.is_empty()) else { return false };
    if let Some((_, binding)) = walker.scope.find(&driven, usize::MAX)
        && let From::Value(value) = binding.from
    {
        return any(Within::Expr(value), Reach::Now, |expr| match expr {
            Expr::MethodCall(call) => connects(&call.method.to_string()),
            Expr::Call(call) => callee(call).is_some_and(|path| connects(&path_text(path))),
            _ => false,
        });
    }
    false
}

fn connects(path: &str) -> bool {
    let last = path.rsplit("::").next().unwrap_or_default();
    has_word(last, &["handshake", "connect"]) && !path.contains("server") && !path.contains("accept")
        || last == "new_connection"
}

/// Words of what tells a task to end.
const ENDS: &[&str] = &[
    "shutdown",
    "cancel",
    "cancelled",
    "cancellation",
    "token",
    "stop",
    "stopped",
    "closed",
    "exit",
    "quit",
    "terminate",
    "abort",
    "kill",
    "weak",
    "upgrade",
];

/// Whether a task ends when it is told to, or tells somebody when it ends.
pub(crate) fn has_end(future: &Expr) -> bool {
    any(Within::Expr(future), Reach::All, |expr| match expr {
        Expr::Path(path) => {
            has_word(&path_text(&path.path), ENDS)
                || has_word(
                    &path_text(&path.path),
                    &["done", "tx", "sender", "notify", "oneshot", "responder", "reply", "ack", "callback"],
                )
        }
        Expr::MethodCall(call) => has_word(&call.method.to_string(), ENDS) || call.method == "send",
        Expr::Field(field) => has_word(&compact(&field.member), ENDS),
        Expr::Macro(found) => found.mac.tokens.to_string().contains("shutdown"),
        _ => false,
    })
}

/// Whether the code after a spawn waits for it: `handle.await`, a `select!` over it, `join!`.
pub(crate) fn is_waited_for(walker: &Walker<'_>, name: &str) -> bool {
    let rest = walker.rest_of_block();
    if !mentions(Within::Stmts(rest), name) {
        return false;
    }
    let kept = any(Within::Stmts(rest), Reach::All, |expr| match expr {
        Expr::MethodCall(call) => {
            matches!(call.method.to_string().as_str(), "push" | "insert" | "extend" | "push_back")
                && call.args.iter().any(|arg| compact(arg).contains(name))
        }
        _ => false,
    });
    !kept
}

impl Walker<'_> {
    /// The type of an expression, where it is written somewhere: compact, without references.
    pub(crate) fn type_of(&self, expr: &Expr) -> Option<String> {
        self.type_at(expr, self.scope.mark(), 5)
    }

    fn type_at(&self, expr: &Expr, upto: usize, fuel: u8) -> Option<String> {
        let fuel = fuel.checked_sub(1)?;
        match peeled(expr) {
            Expr::Path(path) => {
                let name = path.path.get_ident()?.to_string();
                let (nth, binding) = self.scope.find(&name, upto)?;
                if let Some(ty) = &binding.ty {
                    return Some(ty.clone());
                }
                match binding.from {
                    From::Value(value) => self.type_at(value, nth, fuel),
                    _ => None,
                }
            }
            Expr::Field(field) => {
                let member = compact(&field.member);
                let is_self = variable(&field.base).is_some_and(|name| name == "self");
                let ty = if is_self {
                    self.krate.field(self.owner(), &member)
                } else {
                    self.krate.any_field(&member)
                };
                ty.map(str::to_owned)
            }
            Expr::Call(call) => {
                let path = path_text(callee(call)?);
                let (before, last) = path.rsplit_once("::").unwrap_or(("", &path));
                let of = before.rsplit("::").next().unwrap_or_default();
                match of {
                    "Arc" | "Rc" | "Box" => self.type_at(call.args.first()?, upto, fuel),
                    _ if of.starts_with(char::is_uppercase) => Some(before.to_owned()),
                    _ => self.krate.function(last).map(|function| function.returns.clone()),
                }
            }
            Expr::MethodCall(call) => match call.method.to_string().as_str() {
                "clone" | "as_ref" | "as_mut" | "unwrap" | "expect" | "to_owned" => {
                    self.type_at(&call.receiver, upto, fuel)
                }
                method => self.krate.function(method).map(|function| function.returns.clone()),
            },
            Expr::Struct(found) => Some(path_text(&found.path)),
            _ => None,
        }
    }

    /// What the function here is for.
    pub(crate) fn role(&self) -> Role {
        self.functions.last().map_or(Role::StartUp, |function| function.role)
    }
}
