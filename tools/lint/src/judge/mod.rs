//! Judges what stands in a file, rule by rule.

mod body;
pub(crate) mod bounds;
mod channel;
mod client;
pub(crate) mod frame;
mod guard;
mod join;
mod limit;
mod map;
mod repeat;
mod retry;
mod select;
pub(crate) mod spawn;
mod verdict;
pub(crate) mod walker;

use syn::Expr;

use crate::judge::walker::Walker;

/// Judges an expression, before what is in it.
pub(crate) fn expression<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    spawn::judge(walker, expr);
    channel::judge(walker, expr);
    join::judge(walker, expr);
    retry::judge(walker, expr);
    client::judge(walker, expr);
    body::judge(walker, expr);
    select::judge(walker, expr);
    limit::judge(walker, expr);
    map::judge(walker, expr);
}

/// Judges a function as a whole, before what is in it.
pub(crate) fn function(walker: &mut Walker<'_>) {
    guard::judge(walker);
    map::judge_function(walker);
}
