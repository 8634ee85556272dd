//! Clients that wait for as long as the other side likes.

use syn::Expr;

use crate::finding::{Place, Rank, Source};
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{callee, path_text, peeled};

/// Judges the making of a client.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let made = match expr {
        Expr::Call(call) => callee(call).is_some_and(|path| {
            let path = walker.file.imports.full(&path_text(path));
            matches!(
                path.as_str(),
                "reqwest::Client::new"
                    | "reqwest::Client::default"
                    | "reqwest::get"
                    | "reqwest::blocking::get"
            )
        }),
        Expr::Await(found) => is_connect(walker, &found.base) && !walker.krate.times_out,
        Expr::MethodCall(call) => call.method == "build" && is_bare_builder(walker, &call.receiver),
        _ => false,
    };
    if !made || is_timed(walker) {
        return;
    }
    // One that a whole program makes once, or whose calls may be timed elsewhere, is less sure.
    let connects = matches!(expr, Expr::Await(_));
    let sure = !walker.krate.times_out && walker.place() == Place::RequestPath && !connects;
    let verdict = Verdict {
        rule: Rule::NoTimeout,
        source: Source::Peers,
        most: if sure { Rank::High } else { Rank::Medium },
        message: if connects {
            "nothing ends the attempt to connect but the system, after minutes: the caller is held for as long".to_owned()
        } else {
            "the client has no time-out: one that accepts and does not answer holds the caller, and every caller after it".to_owned()
        },
        facts: vec![if walker.krate.times_out {
            "this crate sets time-outs elsewhere: it could not be told whether on these calls".to_owned()
        } else {
            "nothing in this crate puts a time-out around its calls".to_owned()
        }],
        plimsoll: "Downstream::builder(\"…\").timeout(Duration::from_secs(5)).concurrency(50).build()?;"
            .to_owned(),
        tokio: if connects {
            "tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await??;".to_owned()
        } else {
            "reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).timeout(Duration::from_secs(5)).build()?;".to_owned()
        },
    };
    walker.tell(expr, verdict);
}

/// Whether a future opens a connection, for as long as the system tries: some minutes.
fn is_connect(walker: &Walker<'_>, expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    callee(call).is_some_and(|path| {
        let path = walker.file.imports.full(&path_text(path));
        path.ends_with("TcpStream::connect") && !path.starts_with("std::")
    })
}

/// Whether a chain begins at reqwest's builder and sets no time-out.
fn is_bare_builder(walker: &Walker<'_>, expr: &Expr) -> bool {
    match peeled(expr) {
        Expr::MethodCall(call) => {
            !matches!(call.method.to_string().as_str(), "timeout" | "read_timeout")
                && is_bare_builder(walker, &call.receiver)
        }
        Expr::Call(call) => callee(call).is_some_and(|path| {
            let path = walker.file.imports.full(&path_text(path));
            matches!(path.as_str(), "reqwest::Client::builder" | "reqwest::ClientBuilder::new")
        }),
        _ => false,
    }
}

/// Whether a time-out is put around what is here, or on the request in the same statement.
fn is_timed(walker: &Walker<'_>) -> bool {
    walker.parents.iter().any(|parent| match parent {
        Expr::Call(call) => callee(call).is_some_and(|path| path_text(path).contains("timeout")),
        Expr::MethodCall(call) => call.method == "timeout",
        _ => false,
    })
}
