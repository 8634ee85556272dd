//! What keeps the number of tasks small: a permit that is taken first, a length that is compared, a task
//! that is waited for before the next.

use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr};

use crate::expand::BRANCH;
use crate::judge::walker::Walker;
use crate::origin::Origin;
use crate::syntax::{compact, has_attribute, has_word, last_name, path_text, peeled};

/// Something that bounds a loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Whether it is that tasks are waited for: that bounds the loop it stands in and no outer one.
    pub(crate) is_join: bool,
}

/// Words of what admits one after the other.
const ADMITS: &[&str] = &[
    "permit",
    "permits",
    "semaphore",
    "limiter",
    "throttle",
    "ratelimit",
    "backpressure",
    "slot",
    "slots",
    "guard",
];

/// Words of what is compared with a limit, or is one.
const LIMITS: &[&str] = &[
    "max",
    "limit",
    "capacity",
    "quota",
    "concurrency",
    "inflight",
    "active",
    "permits",
    "outstanding",
    "maximum",
    "budget",
    "count",
    "available",
    "limits",
    "cap",
    "full",
];

/// What an origin says of itself.
pub(crate) fn of_origin(origin: &Origin) -> Option<Bound> {
    origin.bound.as_ref().map(|_| Bound { is_join: false })
}

/// What bounds the turns of a loop with this body.
pub(crate) fn in_turn(body: &Block) -> Option<Bound> {
    let mut search = Search { found: None };
    search.visit_block(body);
    search.found
}

/// Whether a condition compares how many there are with how many there may be.
pub(crate) fn compares(cond: &Expr) -> Option<Bound> {
    let mut search = Search { found: None };
    search.visit_expr(cond);
    search.found
}

/// What bounds a closure that an adapter calls: `for_each_concurrent(8, …)`, and what stands after it:
/// `map(…).buffer_unordered(8)`.
pub(crate) fn of_adapter(walker: &Walker<'_>, call: &Expr) -> Option<Bound> {
    let limited = |expr: &Expr| match expr {
        Expr::MethodCall(found) => {
            let method = found.method.to_string();
            let adapts = matches!(
                method.as_str(),
                "for_each_concurrent"
                    | "try_for_each_concurrent"
                    | "buffered"
                    | "buffer_unordered"
                    | "try_buffered"
                    | "try_buffer_unordered"
                    | "flat_map_unordered"
                    | "take"
            );
            adapts && found.args.first().is_some_and(|limit| !is_no_limit(limit))
        }
        _ => false,
    };
    let after = walker.parents.iter().rev().take(6).any(|parent| limited(parent));
    (limited(call) || after).then_some(Bound { is_join: false })
}

/// Whether a limit says: none.
pub(crate) fn is_no_limit(limit: &Expr) -> bool {
    let text = compact(peeled(limit));
    text == "None"
        || text == "0"
        || text.ends_with("::MAX")
        || text.ends_with("max_value()")
        || text == "Some(0)"
}

struct Search {
    found: Option<Bound>,
}

impl Search {
    fn find(&mut self, is_join: bool) {
        self.found.get_or_insert(Bound { is_join });
    }
}

impl<'ast> Visit<'ast> for Search {
    fn visit_local(&mut self, local: &'ast syn::Local) {
        // What a branch of `select!` waits for is one event of many: the loop goes on without it.
        if has_attribute(&local.attrs, BRANCH) {
            return;
        }
        if crate::syntax::bound_names(&local.pat)
            .iter()
            .any(|name| has_word(name, &["permit", "slot", "ticket"]))
        {
            self.find(false);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        if self.found.is_some() {
            return;
        }
        match expr {
            Expr::Async(_) | Expr::Closure(_) => return,
            Expr::MethodCall(call) => self.method(call),
            Expr::Call(call) => {
                if let Some(path) = crate::syntax::callee(call) {
                    let text = path_text(path);
                    if admits(text.rsplit("::").next().unwrap_or_default()) {
                        self.find(false);
                    }
                }
            }
            Expr::Binary(binary) => self.comparison(binary),
            Expr::Await(found) => {
                // `handle.await` of a task that was started in this turn.
                if let Expr::Path(path) = peeled(&found.base)
                    && path
                        .path
                        .get_ident()
                        .is_some_and(|name| has_word(&name.to_string(), &["handle", "task", "join", "jh"]))
                {
                    self.find(true);
                }
            }
            _ => {}
        }
        visit::visit_expr(self, expr);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

impl Search {
    fn method(&mut self, call: &syn::ExprMethodCall) {
        let method = call.method.to_string();
        if admits(&method)
            || matches!(
                method.as_str(),
                "until_ready" | "is_full" | "has_capacity" | "available_permits" | "can_accept"
            )
        {
            self.find(false);
        }
        let last = &last_name(&call.receiver);
        if has_word(last, ADMITS)
            && !matches!(method.as_str(), "lock" | "clone" | "read" | "write")
            && !has_word(last, &["guard"])
        {
            self.find(false);
        }
        if matches!(method.as_str(), "join_next" | "join_all" | "join_one" | "wait_all") {
            self.find(true);
        }
        let is_join = method == "join" && call.args.is_empty();
        if is_join && has_word(last, &["handle", "thread", "task", "worker"]) {
            self.find(true);
        }
    }

    fn comparison(&mut self, binary: &syn::ExprBinary) {
        let orders =
            matches!(binary.op, BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) | BinOp::Eq(_));
        if !orders || is_zero(&binary.left) || is_zero(&binary.right) {
            return;
        }
        let counts = |side: &Expr| match peeled(side) {
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                (method == "len" && !Self::is_text(&call.receiver))
                    || has_word(&method, LIMITS)
                    || method == "load"
            }
            Expr::Path(path) => has_word(&path_text(&path.path), LIMITS),
            Expr::Field(field) => has_word(&compact(&field.member), LIMITS),
            _ => false,
        };
        if counts(&binary.left) || counts(&binary.right) {
            self.find(false);
        }
    }

    /// A length of bytes or text is no number of tasks.
    fn is_text(expr: &Expr) -> bool {
        let last = &last_name(expr);
        has_word(
            last,
            &["buf", "buffer", "bytes", "data", "payload", "line", "body", "name", "path", "args", "parts"],
        )
    }
}

fn is_zero(expr: &Expr) -> bool {
    matches!(compact(peeled(expr)).as_str(), "0" | "1")
}

/// Whether a name is of what waits for a place or refuses.
pub(crate) fn admits(name: &str) -> bool {
    name.starts_with("acquire")
        || name.starts_with("try_acquire")
        || has_word(name, &["permit", "throttle", "backpressure", "semaphore"])
}
