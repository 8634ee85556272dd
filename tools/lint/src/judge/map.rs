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
    let in_branch = inserts(Within::Block(&found.then_branch), &root)
        || found.else_branch.as_ref().is_some_and(|(_, other)| inserts(Within::Expr(other), &root));
    let leaves =
        matches!(found.then_branch.stmts.last(), Some(Stmt::Expr(Expr::Return(_) | Expr::Continue(_), _)));
    let after = leaves && inserts(Within::Stmts(walker.rest_of_block()), &root);
    if !in_branch && !after {
        return;
    }
    let key_text = walker.shown(peeled(key), 40);
    let fed = walker.origin(key).is_fed() || walker.place() == Place::RequestPath;
    let verdict = Verdict {
        rule: Rule::CheckThenAct,
        source: if fed { Source::Input } else { Source::Unknown },
        most: Rank::High,
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
    CONCURRENT.contains(&head(&ty)) || locks(map)
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
    let mut search = Misses { found: Vec::new() };
    search.visit_block(function.body);
    for miss in search.found {
        tell_miss(walker, &miss);
    }
}

/// A look-up whose miss is computed by everybody who misses.
struct Miss<'a> {
    cache: &'a Expr,
    key: &'a Expr,
    looked_up: &'a Expr,
}

struct Misses<'a> {
    found: Vec<Miss<'a>>,
}

impl<'a> Visit<'a> for Misses<'a> {
    fn visit_block(&mut self, block: &'a Block) {
        for (nth, stmt) in block.stmts.iter().enumerate() {
            // Who holds a lock meanwhile, of the key or of all, is the only one who computes.
            if block.stmts[..nth].iter().any(is_turn) {
                break;
            }
            let Stmt::Expr(expr, _) = stmt else { continue };
            self.found.extend(miss_of_if(expr, &block.stmts[nth + 1..]).or_else(|| miss_of_match(expr)));
        }
        visit::visit_block(self, block);
    }

    fn visit_item(&mut self, _: &'a syn::Item) {}
}

/// `if let Some(found) = cache.get(key) { return found; }`, or with an `else`.
fn miss_of_if<'a>(expr: &'a Expr, after: &'a [Stmt]) -> Option<Miss<'a>> {
    let Expr::If(found) = expr else { return None };
    let Expr::Let(cond) = &*found.cond else { return None };
    let (cache, key) = got(&cond.expr)?;
    let returns = |expr: &Expr| matches!(expr, Expr::Return(_));
    let rest = match &found.else_branch {
        Some((_, other)) => Within::Expr(other),
        None if any(Within::Block(&found.then_branch), Reach::Now, returns) => Within::Stmts(after),
        None => return None,
    };
    computes_and_inserts(rest, &without_locks(cache)).then_some(Miss { cache, key, looked_up: &cond.expr })
}

/// `match cache.get(key) { Some(found) => found, None => … }`.
fn miss_of_match(expr: &Expr) -> Option<Miss<'_>> {
    let Expr::Match(found) = expr else { return None };
    let (cache, key) = got(&found.expr)?;
    let root = without_locks(cache);
    let misses = |arm: &syn::Arm| matches!(compact(&arm.pat).as_str(), "None" | "_");
    let computes = |arm: &syn::Arm| misses(arm) && computes_and_inserts(Within::Expr(&arm.body), &root);
    found.arms.iter().any(computes).then_some(Miss { cache, key, looked_up: &found.expr })
}

/// Whether a statement takes a lock that it keeps: `let turn = self.turns.lock(key).await;`.
fn is_turn(stmt: &Stmt) -> bool {
    let Stmt::Local(local) = stmt else { return false };
    if matches!(local.pat, syn::Pat::Wild(_)) {
        return false;
    }
    let Some(init) = &local.init else { return false };
    let Expr::Await(wait) = without_try(&init.expr) else { return false };
    let Expr::MethodCall(call) = &*wait.base else { return false };
    matches!(call.method.to_string().as_str(), "lock" | "lock_owned" | "acquire" | "acquire_owned" | "write")
}

fn without_try(expr: &Expr) -> &Expr {
    match expr {
        Expr::Try(tried) => without_try(&tried.expr),
        other => other,
    }
}

/// `cache.get(key)`, with the lock that is taken for it.
fn got(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match peeled(expr) {
        Expr::MethodCall(call) if call.method == "get" && call.args.len() == 1 => {
            Some((&call.receiver, &call.args[0]))
        }
        Expr::MethodCall(call)
            if matches!(call.method.to_string().as_str(), "cloned" | "copied" | "map" | "clone") =>
        {
            got(&call.receiver)
        }
        Expr::Await(wait) => got(&wait.base),
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
        || locks(miss.cache)
        || has_word(&root, &["cache", "caches", "cached", "memo"])
        || matches!(head(&ty), "Cache" | "LruCache" | "TtlCache" | "TimedCache");
    if !is_cache {
        return;
    }
    let key = walker.shown(peeled(miss.key), 40);
    let asked = walker.place() == Place::RequestPath;
    let verdict = Verdict {
        rule: Rule::NoSingleflight,
        source: if asked { Source::Input } else { Source::Unknown },
        most: Rank::High,
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
