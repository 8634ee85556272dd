//! What is held while waiting: permits across a sleep, locks across an `.await`.

use syn::visit::{self, Visit};
use syn::{Block, Expr, Stmt};

use crate::facts::Role;
use crate::finding::{Place, Rank, Source};
use crate::judge::bounds;
use crate::judge::repeat::sleeps;
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{
    Reach, Within, any, bound_names, callee, compact, has_word, mentions, path_text, peeled, variable,
};

/// What a variable holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Permit,
    /// A lock that blocks its thread.
    Blocking,
    /// A lock that is waited for.
    Waiting,
}

/// Something that is held, and the wait it is held across.
struct Hold<'a> {
    held: Held,
    name: String,
    wait: &'a Expr,
}

/// Judges the function that is walked through, as a whole.
pub(crate) fn judge(walker: &mut Walker<'_>) {
    let Some(function) = walker.functions.last() else { return };
    let mut search = Search { holds: Vec::new(), locks_at_once: walker.file.text.contains("parking_lot") };
    search.visit_block(function.body);
    for hold in search.holds {
        tell(walker, &hold);
    }
}

struct Search<'a> {
    holds: Vec<Hold<'a>>,
    /// Whether locks of this file give their guards without an `unwrap`.
    locks_at_once: bool,
}

impl<'a> Visit<'a> for Search<'a> {
    fn visit_block(&mut self, block: &'a Block) {
        for (nth, stmt) in block.stmts.iter().enumerate() {
            let Stmt::Local(local) = stmt else { continue };
            let Some(init) = &local.init else { continue };
            let Some(held) = held(&init.expr, self.locks_at_once) else { continue };
            let names = bound_names(&local.pat);
            let [name] = names.as_slice() else { continue };
            if let Some(wait) = wait_while(held, name, &block.stmts[nth + 1..]) {
                self.holds.push(Hold { held, name: name.clone(), wait });
            }
        }
        visit::visit_block(self, block);
    }

    /// What is locked to be looked at stays locked for as long as the arms run.
    fn visit_expr_match(&mut self, found: &'a syn::ExprMatch) {
        if locks_for_itself(&found.expr)
            && let Some(wait) = found.arms.iter().find_map(|arm| first_await(Within::Expr(&arm.body)))
        {
            self.holds.push(Hold { held: Held::Blocking, name: "match".to_owned(), wait });
        }
        visit::visit_expr_match(self, found);
    }

    fn visit_expr_if(&mut self, found: &'a syn::ExprIf) {
        if let Expr::Let(cond) = &*found.cond
            && locks_for_itself(&cond.expr)
            && let Some(wait) = first_await(Within::Block(&found.then_branch))
        {
            self.holds.push(Hold { held: Held::Blocking, name: "if let".to_owned(), wait });
        }
        visit::visit_expr_if(self, found);
    }

    // An item within is a function of its own.
    fn visit_item(&mut self, _: &'a syn::Item) {}
}

fn first_await(within: Within<'_>) -> Option<&Expr> {
    let mut found = None;
    any(within, Reach::Now, |expr| {
        if matches!(expr, Expr::Await(_)) {
            found = Some(expr);
        }
        found.is_some()
    });
    found
}

/// Whether an expression takes a lock that blocks, and uses it on the way: `map.lock().unwrap().get(key)`.
fn locks_for_itself(expr: &Expr) -> bool {
    any(Within::Expr(expr), Reach::Now, |inner| match inner {
        Expr::MethodCall(call) if call.method == "unwrap" || call.method == "expect" => {
            matches!(&*call.receiver, Expr::MethodCall(lock)
                if lock.args.is_empty() && matches!(lock.method.to_string().as_str(), "lock" | "read" | "write"))
        }
        _ => false,
    })
}

/// What an expression gives to hold.
fn held(expr: &Expr, locks_at_once: bool) -> Option<Held> {
    // `let _held = permit;` in a task that was given it.
    if variable(expr).is_some_and(|name| has_word(&name, &["permit"])) && matches!(expr, Expr::Path(_)) {
        return Some(Held::Permit);
    }
    let mut awaited = false;
    let mut unwrapped = false;
    let mut inner = expr;
    loop {
        match inner {
            Expr::Await(found) => {
                awaited = true;
                inner = &found.base;
            }
            Expr::Try(found) => {
                unwrapped = true;
                inner = &found.expr;
            }
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                if bounds::admits(&method) && method.contains("acquire") {
                    return (awaited || method.starts_with("try")).then_some(Held::Permit);
                }
                match method.as_str() {
                    "unwrap" | "expect" | "unwrap_or_else" | "map_err" | "context" => {
                        unwrapped = true;
                        inner = &call.receiver;
                    }
                    "lock" | "read" | "write" if call.args.is_empty() => {
                        if awaited {
                            return Some(Held::Waiting);
                        }
                        // Of `read` and `write` only what is unwrapped is sure to be a lock.
                        return (unwrapped || method == "lock" || locks_at_once).then_some(Held::Blocking);
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

/// The first wait in the statements while something is held.
fn wait_while<'a>(held: Held, name: &str, rest: &'a [Stmt]) -> Option<&'a Expr> {
    for stmt in rest {
        if lets_go(stmt, name) {
            return None;
        }
        let mut found = None;
        any(Within::Stmts(std::slice::from_ref(stmt)), Reach::Now, |expr| {
            if counts(held, name, expr) {
                found = Some(expr);
            }
            found.is_some()
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether an expression is a wait that what is held must not be held across.
fn counts(held: Held, name: &str, expr: &Expr) -> bool {
    let Expr::Await(wait) = expr else { return false };
    match held {
        Held::Permit => sleeps(expr).is_some(),
        // The lock is handed over: a condition variable gives it back.
        Held::Blocking => !matches!(peeled(&wait.base), Expr::MethodCall(call) if call.method == "wait"),
        Held::Waiting => {
            !mentions(Within::Expr(&wait.base), name) && (sleeps(expr).is_some() || is_outward(&wait.base))
        }
    }
}

/// Whether a future asks somebody else: over the network, as far as its name tells.
fn is_outward(expr: &Expr) -> bool {
    let name = match peeled(expr) {
        Expr::MethodCall(call) => call.method.to_string(),
        Expr::Call(call) => callee(call).map(path_text).unwrap_or_default(),
        _ => return false,
    };
    let last = name.rsplit("::").next().unwrap_or_default();
    has_word(last, &["connect", "fetch", "download", "upload", "request", "dial"])
}

/// Whether a statement gives what is held away, or drops it.
fn lets_go(stmt: &Stmt, name: &str) -> bool {
    let passed = |args: &syn::punctuated::Punctuated<Expr, syn::Token![,]>| {
        args.iter().any(|arg| match peeled_move(arg) {
            Expr::Path(path) => path.path.is_ident(name),
            Expr::Async(found) => found.capture.is_some() && mentions(Within::Block(&found.block), name),
            Expr::Closure(found) => found.capture.is_some() && mentions(Within::Expr(&found.body), name),
            _ => false,
        })
    };
    any(Within::Stmts(std::slice::from_ref(stmt)), Reach::All, |expr| match expr {
        Expr::Call(call) => passed(&call.args),
        Expr::MethodCall(call) => passed(&call.args),
        Expr::Assign(found) => compact(&found.left) == name || compact(&found.right).contains(name),
        Expr::Struct(found) => found.fields.iter().any(|field| compact(&field.expr) == name),
        _ => false,
    })
}

/// An argument without parentheses: a reference is no move.
fn peeled_move(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => peeled_move(&inner.expr),
        _ => expr,
    }
}

fn tell(walker: &mut Walker<'_>, hold: &Hold<'_>) {
    let asked = walker.role() == Role::Handler && walker.place() == Place::RequestPath;
    let source = if asked { Source::Input } else { Source::Unknown };
    let name = &hold.name;
    let wait = walker.shown(hold.wait, 60);
    let (rule, most, message, plimsoll, tokio) = match hold.held {
        Held::Permit => (
            Rule::PermitAcrossSleep,
            Rank::High,
            format!("`{name}` is held while `{wait}` sleeps: others wait for a place that nobody uses"),
            "Downstream::builder(\"…\").concurrency(50).retry(policy).build()?; // each attempt takes its own permit".to_owned(),
            format!("drop({name});\n{wait};\n// and acquire anew"),
        ),
        Held::Blocking => (
            Rule::LockAcrossAwait,
            Rank::High,
            format!("the lock in `{name}` is held across `{wait}`: who wants it meanwhile blocks a whole worker thread"),
            "let one = Semaphore::new(1); // where only one may be at it: waiting blocks no thread".to_owned(),
            format!("drop({name}); // or a block around what needs it\n{wait};"),
        ),
        Held::Waiting => (
            Rule::LockAcrossAwait,
            Rank::Medium,
            format!("the lock in `{name}` is held across `{wait}`: everybody who wants it waits for that other side too"),
            "let one = Semaphore::builder(\"…\").limit(1).build()?; // where only one may be at it: it is seen who waits".to_owned(),
            format!("drop({name}); // or a block around what needs it\n{wait};"),
        ),
    };
    let facts = vec![format!("nothing drops `{name}` before")];
    walker.tell(hold.wait, Verdict { rule, source, most, message, facts, plimsoll, tokio });
}
