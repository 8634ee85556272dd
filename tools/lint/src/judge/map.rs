//! Two steps on a map that others change too: check and insert, get and compute.

use syn::visit::{self, Visit};
use syn::{Block, Expr, Stmt};

use crate::finding::{Place, Rank, Source};
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{Reach, Within, any, compact, has_word, head, peeled};

/// Maps that many tasks share without a lock around them.
const CONCURRENT: &[&str] =
    &["DashMap", "DashSet", "SkipMap", "HashIndex", "TreeIndex", "ConcurrentMap", "CHashMap"];

/// Judges a check that is followed by a change.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let Expr::If(found) = expr else { return };
    let Some((map, key)) = checked(&found.cond) else { return };
    if !is_shared(walker, map) {
        return;
    }
    let root = without_locks(map);
    if computes_and_inserts(Within::Block(&found.then_branch), &root) && !locks_by_key(walker) {
        tell_miss(walker, &Miss { cache: map, key, looked_up: &found.cond });
        return;
    }
    let in_branch = inserts(Within::Block(&found.then_branch), &root)
        || found.else_branch.as_ref().is_some_and(|(_, other)| inserts(Within::Expr(other), &root));
    let leaves =
        matches!(found.then_branch.stmts.last(), Some(Stmt::Expr(Expr::Return(_) | Expr::Continue(_), _)));
    let after = leaves && inserts(Within::Stmts(walker.rest_of_block()), &root);
    if !in_branch && !after {
        return;
    }
    let key_text = walker.shown(peeled(key), 40);
    let sure = CONCURRENT.contains(&head(&walker.type_of(map).unwrap_or_default()));
    let fed = walker.origin(key).is_fed() || walker.place() == Place::RequestPath;
    let verdict = Verdict {
        rule: Rule::CheckThenAct,
        source: if fed { Source::Input } else { Source::Unknown },
        most: if sure { Rank::High } else { Rank::Medium },
        message: format!(
            "between the check of `{root}` for `{key_text}` and the insert another task can do the same: both pass, and one overwrites the other"
        ),
        facts: vec![format!("`{root}` is shared, and nothing is held from the check to the insert")],
        plimsoll: format!(
            "Keyed::builder(\"{root}\", make).keys_max(100_000).build()?; // where the values are limits"
        ),
        tokio: format!("{root}.entry({key_text}).or_insert_with(|| …);"),
    };
    walker.tell(&*found.cond, verdict);
}

/// `map.contains_key(key)`, `map.get(key).is_none()`.
fn checked(cond: &Expr) -> Option<(&Expr, &Expr)> {
    match cond {
        Expr::Unary(found) => checked(&found.expr),
        Expr::Paren(found) => checked(&found.expr),
        Expr::Binary(found) => checked(&found.left).or_else(|| checked(&found.right)),
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "contains_key" | "contains" if call.args.len() == 1 => Some((&call.receiver, &call.args[0])),
            "is_none" | "is_some" => match peeled(&call.receiver) {
                Expr::MethodCall(get) if get.method == "get" && get.args.len() == 1 => {
                    Some((&get.receiver, &get.args[0]))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether a map is shared, and not held: a concurrent map, or one that is locked just for this.
fn is_shared(walker: &Walker<'_>, map: &Expr) -> bool {
    let ty = walker.type_of(map).unwrap_or_default();
    CONCURRENT.contains(&head(&ty)) || locks(map) || is_of_shared_self(walker, map)
}

/// Whether a map is a field of a `self` that is shared: what is inserted into it there locks by itself.
fn is_of_shared_self(walker: &Walker<'_>, map: &Expr) -> bool {
    walker.functions.last().is_some_and(|function| function.shares_self)
        && without_locks(map).starts_with("self.")
}

/// Whether an expression takes a lock for itself: `map.read().await`.
fn locks(expr: &Expr) -> bool {
    any(Within::Expr(expr), Reach::Now, |inner| {
        matches!(inner, Expr::MethodCall(call)
            if call.args.is_empty() && matches!(call.method.to_string().as_str(), "lock" | "read" | "write"))
    })
}

/// The map without the lock that is taken for one step.
fn without_locks(expr: &Expr) -> String {
    let mut inner = peeled(expr);
    while let Expr::MethodCall(call) = inner {
        let method = call.method.to_string();
        if !matches!(
            method.as_str(),
            "lock" | "read" | "write" | "unwrap" | "expect" | "borrow" | "borrow_mut" | "clone"
        ) {
            break;
        }
        inner = peeled(&call.receiver);
    }
    compact(inner)
}

fn inserts(within: Within<'_>, root: &str) -> bool {
    any(within, Reach::Now, |expr| is_insert(expr, root))
}

fn is_insert(expr: &Expr, root: &str) -> bool {
    matches!(expr, Expr::MethodCall(call)
        if matches!(call.method.to_string().as_str(), "insert" | "put") && without_locks(&call.receiver) == root)
}

/// Judges get, compute and insert in the function that is walked through.
pub(crate) fn judge_function(walker: &mut Walker<'_>) {
    let Some(function) = walker.functions.last() else { return };
    let mut search = Misses { found: Vec::new(), read: Vec::new() };
    search.visit_block(function.body);
    if !locks_by_key(walker) {
        for miss in search.found {
            tell_miss(walker, &miss);
        }
    }
    for read in search.read {
        tell_lost_update(walker, &read);
    }
}

/// Whether the function takes a lock of a key: then one after the other looks, and computes.
fn locks_by_key(walker: &Walker<'_>) -> bool {
    walker.functions.last().is_some_and(|function| {
        any(
            Within::Block(function.body),
            Reach::Now,
            |expr| matches!(expr, Expr::MethodCall(call) if call.method == "lock" && !call.args.is_empty()),
        )
    })
}

/// Tells a value that is read, and put back changed.
fn tell_lost_update(walker: &mut Walker<'_>, read: &Miss<'_>) {
    if !CONCURRENT.contains(&head(&walker.type_of(read.cache).unwrap_or_default())) {
        return;
    }
    let root = without_locks(read.cache);
    let key = walker.shown(peeled(read.key), 40);
    let asked = walker.place() == Place::RequestPath;
    let verdict = Verdict {
        rule: Rule::CheckThenAct,
        source: if asked { Source::Input } else { Source::Unknown },
        most: Rank::Medium,
        message: format!(
            "`{key}` of `{root}` is read, and inserted again: what another task inserts between is lost"
        ),
        facts: vec![format!("`{root}` is shared, and nothing is held from the read to the insert")],
        plimsoll: format!(
            "Keyed::builder(\"{root}\", make).keys_max(100_000).build()?; // where the values are limits"
        ),
        tokio: format!("*{root}.entry({key}).or_default() += 1;"),
    };
    walker.tell(read.looked_up, verdict);
}

/// A look-up whose miss is computed by everybody who misses.
struct Miss<'a> {
    cache: &'a Expr,
    key: &'a Expr,
    looked_up: &'a Expr,
}

struct Misses<'a> {
    found: Vec<Miss<'a>>,
    /// What is read, and inserted again.
    read: Vec<Miss<'a>>,
}

impl<'a> Visit<'a> for Misses<'a> {
    fn visit_block(&mut self, block: &'a Block) {
        for (nth, stmt) in block.stmts.iter().enumerate() {
            if let Stmt::Local(local) = stmt
                && let Some(init) = &local.init
                && let Some((cache, key)) = got(&init.expr)
                && inserts(Within::Stmts(&block.stmts[nth + 1..]), &without_locks(cache))
            {
                self.read.push(Miss { cache, key, looked_up: &init.expr });
            }
            let Stmt::Expr(Expr::If(found), _) = stmt else { continue };
            let Expr::Let(cond) = &*found.cond else { continue };
            let Some((cache, key)) = got(&cond.expr) else { continue };
            let root = without_locks(cache);
            let rest = match &found.else_branch {
                Some((_, other)) => Within::Expr(other),
                None if any(Within::Block(&found.then_branch), Reach::Now, |expr| {
                    matches!(expr, Expr::Return(_))
                }) =>
                {
                    Within::Stmts(&block.stmts[nth + 1..])
                }
                None => continue,
            };
            if computes_and_inserts(rest, &root) {
                self.found.push(Miss { cache, key, looked_up: &cond.expr });
            }
        }
        visit::visit_block(self, block);
    }

    fn visit_expr_match(&mut self, found: &'a syn::ExprMatch) {
        if let Some((cache, key)) = got(&found.expr) {
            let root = without_locks(cache);
            if found.arms.iter().any(|arm| computes_and_inserts(Within::Expr(&arm.body), &root)) {
                self.found.push(Miss { cache, key, looked_up: &found.expr });
            }
        }
        visit::visit_expr_match(self, found);
    }

    fn visit_item(&mut self, _: &'a syn::Item) {}
}

/// `cache.get(key)`, with the lock that is taken for it.
fn got(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match peeled(expr) {
        Expr::MethodCall(call) if call.method == "get" && call.args.len() == 1 => {
            Some((&call.receiver, &call.args[0]))
        }
        Expr::MethodCall(call)
            if matches!(
                call.method.to_string().as_str(),
                "cloned" | "copied" | "map" | "clone" | "unwrap_or" | "unwrap_or_default"
            ) =>
        {
            got(&call.receiver)
        }
        _ => None,
    }
}

/// Whether something is awaited that is no lock and not the cache itself, and put into the cache after.
fn computes_and_inserts(rest: Within<'_>, root: &str) -> bool {
    let mut computed = false;
    any(rest, Reach::Now, |expr| {
        if let Expr::Await(wait) = expr {
            let text = compact(&wait.base);
            let is_lock = matches!(&*wait.base, Expr::MethodCall(call)
                if call.args.is_empty() && matches!(call.method.to_string().as_str(), "lock" | "read" | "write"));
            computed |= !is_lock && !text.starts_with(root) && !text.contains("acquire");
        }
        computed && is_insert(expr, root)
    })
}

fn tell_miss(walker: &mut Walker<'_>, miss: &Miss<'_>) {
    let ty = walker.type_of(miss.cache).unwrap_or_default();
    let root = without_locks(miss.cache);
    let is_cache = CONCURRENT.contains(&head(&ty))
        || has_word(&root, &["cache", "caches", "cached", "memo"])
        || matches!(head(&ty), "Cache" | "LruCache" | "TtlCache" | "TimedCache");
    if !is_cache && !locks(miss.cache) && !is_of_shared_self(walker, miss.cache) {
        return;
    }
    let key = walker.shown(peeled(miss.key), 40);
    let asked = walker.place() == Place::RequestPath;
    let verdict = Verdict {
        rule: Rule::NoSingleflight,
        source: if asked { Source::Input } else { Source::Unknown },
        most: if is_cache { Rank::High } else { Rank::Medium },
        message: format!(
            "all who miss `{key}` in `{root}` at the same time compute it, each for himself, and then insert it"
        ),
        facts: vec![format!(
            "between the look-up in `{root}` and the insert something is awaited, and nobody else is told"
        )],
        plimsoll: format!(
            "let loads = Singleflight::builder(\"{root}\").build()?;\nloads.run({key}, || load({key})).await?;"
        ),
        tokio: format!("{root}.try_get_with({key}, load({key})).await?; // moka"),
    };
    walker.tell(miss.looked_up, verdict);
}
