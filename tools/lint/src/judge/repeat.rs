//! How often something is started: for each item, for each connection, by itself, later.

use syn::{Expr, Stmt};

use crate::facts::Role;
use crate::finding::{Place, Rank, Source};
use crate::judge::frame::Round;
use crate::judge::spawn::{self, Handle, Kind, Spawn};
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::syntax::{Reach, Within, any, callee, compact, has_word, path_text, peeled};

/// Tells what is started for each item of a loop; whether there was a loop that decides it.
pub(crate) fn judge_loop<'a>(
    walker: &mut Walker<'a>,
    expr: &'a Expr,
    spawn: &Spawn<'a>,
    handle: &Handle,
) -> bool {
    let Some(round) = walker.turn() else { return false };
    let waited = matches!(handle, Handle::Bound(name) if spawn::is_waited_for(walker, name));
    let counted =
        round.over.chars().all(|c| c.is_alphanumeric() || c == '_') && walker.is_counted(&round.over);
    let chosen = counted || (round.is_range && !round.origin.is_fed());
    if round.bound.is_some() || round.origin.bound.is_some() || waited || chosen {
        return true;
    }
    if !round.accepts && spawn::is_driver(walker, spawn.future) {
        return true;
    }
    let rule = match (round.accepts, spawn.kind) {
        (_, Kind::Thread) => Rule::ThreadPerItem,
        (true, _) => Rule::UnboundedAccept,
        (false, _) => Rule::SpawnInLoop,
    };
    let place = place_of(walker, &round);
    let (message, facts) = told(&round, spawn, handle);
    let verdict = Verdict {
        rule,
        source: round.origin.source,
        // Who waits for the answer to what it sent bounds the number by its own.
        most: if round.answered { Rank::Medium } else { Rank::High },
        message,
        facts,
        plimsoll: with_plimsoll(walker, rule, &round, spawn),
        tokio: with_tokio(walker, rule, &round, spawn),
    };
    walker.tell_at(expr, verdict, place);
    true
}

/// A loop that is fed for as long as the program runs is no start-up, wherever it is begun.
fn place_of(walker: &Walker<'_>, round: &Round) -> Place {
    match walker.place() {
        Place::StartUp if round.origin.live => Place::Runtime,
        place => place,
    }
}

fn told(round: &Round, spawn: &Spawn<'_>, handle: &Handle) -> (String, Vec<String>) {
    let what = if spawn.kind == Kind::Thread { "thread" } else { "task" };
    let because = &round.origin.because;
    let item = &round.item;
    let message = if round.accepts {
        format!(
            "each connection that `{}` yields becomes a {what}, and nothing limits how many there are: who \
             connects decides it",
            round.over
        )
    } else if round.over.is_empty() {
        format!("each turn of the loop starts a {what}, and nothing waits for the one before")
    } else if round.origin.live {
        format!(
            "each `{item}` of {because} becomes a {what}: 5,000 that come faster than they are done are 5,000 {what}s"
        )
    } else if round.origin.source == Source::Unknown {
        format!("each `{item}` of `{}` becomes a {what}: 5,000 of them are 5,000 {what}s at once", round.over)
    } else {
        format!(
            "each `{item}` of `{}`, from {because}, becomes a {what}: 5,000 of them are 5,000 {what}s at once",
            round.over
        )
    };
    let mut facts = Vec::new();
    if round.origin.source != Source::Unknown {
        facts.push(format!("how many there are is decided by {because}"));
    }
    facts.push("nothing in the loop takes a permit, compares a length or waits for a task".to_owned());
    if *handle == Handle::Dropped && spawn.kind == Kind::Task {
        facts.push("the handle is dropped: nobody learns how it ends".to_owned());
    }
    if any(Within::Expr(spawn.future), Reach::All, is_acquire) {
        facts.push(
            "a permit is taken within the task: what it does is bounded, how many wait is not".to_owned(),
        );
    }
    (message, facts)
}

fn is_acquire(expr: &Expr) -> bool {
    matches!(expr, Expr::MethodCall(call) if crate::judge::bounds::admits(&call.method.to_string()))
}

fn work_of(walker: &Walker<'_>, spawn: &Spawn<'_>) -> String {
    match peeled(spawn.future) {
        Expr::Async(_) | Expr::Closure(_) => "async move { … }".to_owned(),
        other => walker.shown(other, 60),
    }
}

fn with_plimsoll(walker: &Walker<'_>, rule: Rule, round: &Round, spawn: &Spawn<'_>) -> String {
    let work = work_of(walker, spawn);
    let (item, over) = (&round.item, &round.over);
    match rule {
        Rule::UnboundedAccept => format!(
            "let connections = Semaphore::builder(\"connections\").limit(1_024).build()?;\n\
             // in the loop, before `{over}`\nlet permit = connections.acquire_owned().await;"
        ),
        Rule::ThreadPerItem => format!(
            "let pool = CpuPool::builder(\"{item}\", work).queue(1_024).build()?;\npool.submit({item}).await?;"
        ),
        _ if over.is_empty() || round.origin.live => format!(
            "let mut group = Group::builder(\"{item}\").limit(64).build()?;\n// in the loop: waits for a place\ngroup.spawn({work}).await;"
        ),
        _ => format!("plimsoll::map({over}, 64, |{item}| {work}).await?;"),
    }
}

fn with_tokio(walker: &Walker<'_>, rule: Rule, round: &Round, spawn: &Spawn<'_>) -> String {
    let work = work_of(walker, spawn);
    match rule {
        Rule::ThreadPerItem => format!(
            "let (sender, receiver) = std::sync::mpsc::sync_channel(64);\n// a fixed number of threads receive\nsender.send({})?;",
            round.item
        ),
        _ => {
            let when = if rule == Rule::UnboundedAccept {
                "before the connection is accepted"
            } else {
                "in the loop, before the spawn"
            };
            format!(
                "// {when}\nlet permit = limit.clone().acquire_owned().await?;\ntokio::spawn(async move {{ {}; drop(permit); }});",
                if work.starts_with("async") { "…".to_owned() } else { format!("{work}.await") }
            )
        }
    }
}

/// Tells a task whose handle is dropped.
pub(crate) fn judge_dropped<'a>(walker: &mut Walker<'a>, expr: &'a Expr, spawn: &Spawn<'a>, handle: &Handle) {
    if *handle != Handle::Dropped || spawn.kind != Kind::Task || spawn::is_driver(walker, spawn.future) {
        return;
    }
    let role = walker.role();
    let main = walker.functions.last().is_some_and(|function| function.name == "main");
    if spawn::has_end(spawn.future) || main {
        return;
    }
    if judge_called_in_loop(walker, expr, spawn) {
        return;
    }
    let place = walker.place();
    let work = work_of(walker, spawn);
    let function = walker.functions.last().map_or_else(String::new, |function| function.name.clone());
    // Only where each call is known to be a request is it known that there are many.
    let source =
        if place == Place::RequestPath && role == Role::Handler { Source::Input } else { Source::Unknown };
    let message = if source == Source::Input {
        format!(
            "each request that `{function}` answers leaves a task behind that nobody waits for, bounds or ends"
        )
    } else {
        format!(
            "the task that `{function}` starts is let go: nobody learns when it panics, ends it or waits for it"
        )
    };
    let verdict = Verdict {
        rule: Rule::DroppedHandle,
        source,
        most: Rank::High,
        message,
        facts: vec!["its handle is dropped, and it is told of no end".to_owned()],
        plimsoll: format!(
            "// a pool or group of the program, drained at its end\ngroup.spawn({work}).await;"
        ),
        tokio: format!(
            "let tasks = TaskTracker::new(); // of the program: closed and waited for at its end\ntasks.spawn({work});"
        ),
    };
    walker.tell(expr, verdict);
}

/// Tells a task that is let go by a function which is called in a loop; whether it was one.
fn judge_called_in_loop<'a>(walker: &mut Walker<'a>, expr: &'a Expr, spawn: &Spawn<'a>) -> bool {
    let Some(function) = walker.functions.last() else { return false };
    let name = function.name.clone();
    if crate::judge::bounds::in_turn(function.body).is_some() {
        return false;
    }
    let Some(each) = walker.krate.each(&name).filter(|each| each.is_fed()).cloned() else { return false };
    let place = match walker.place() {
        Place::StartUp if each.live => Place::Runtime,
        place => place,
    };
    let work = work_of(walker, spawn);
    let verdict = Verdict {
        rule: Rule::SpawnInLoop,
        source: each.source,
        // What bounds the callers' loops is not known for all of them.
        most: Rank::Medium,
        message: format!(
            "`{name}` is called in a loop over {}, and starts a task each time that nobody waits for",
            each.because
        ),
        facts: vec![
            format!("how many there are is decided by {}", each.because),
            "its handle is dropped".to_owned(),
        ],
        plimsoll: format!("group.spawn({work}).await; // waits for a place"),
        tokio: format!("let permit = limit.clone().acquire_owned().await?; // before `{name}` starts it"),
    };
    walker.tell_at(expr, verdict, place);
    true
}

/// Tells a task that sleeps first and acts then; whether it was one.
pub(crate) fn judge_sleeper<'a>(
    walker: &mut Walker<'a>,
    expr: &'a Expr,
    spawn: &Spawn<'a>,
    handle: &Handle,
) -> bool {
    let Expr::Async(task) = peeled(spawn.future) else { return false };
    let stmts: Vec<&Stmt> = task.block.stmts.iter().filter(|stmt| !is_binding(stmt)).collect();
    let [first, then, ..] = stmts.as_slice() else { return false };
    let is_loop = matches!(then, Stmt::Expr(Expr::Loop(_) | Expr::While(_), _));
    if !is_sleep(first) || is_loop || matches!(handle, Handle::Passed) {
        return false;
    }
    if let Handle::Bound(name) = handle
        && crate::syntax::mentions(Within::Stmts(walker.rest_of_block()), name)
    {
        return false;
    }
    let round = walker.turn().filter(|round| round.origin.is_fed() && round.bound.is_none());
    let place = round.as_ref().map_or(walker.place(), |round| place_of(walker, round));
    let is_handler = walker.place() == Place::RequestPath && walker.role() == Role::Handler;
    let source = round
        .as_ref()
        .map_or(if is_handler { Source::Input } else { Source::Unknown }, |round| round.origin.source);
    let delay = sleep_length(walker, first);
    let whose = match &round {
        Some(round) => format!("each `{}` of {}", round.item, round.origin.because),
        None => format!("each call of `{}`", walker.functions.last().map_or("it", |function| &function.name)),
    };
    let verdict = Verdict {
        rule: Rule::SleepThenAct,
        source,
        most: Rank::High,
        message: format!(
            "{whose} leaves a task that sleeps for `{delay}` and acts then: a restart forgets them all, and nothing bounds how many wait"
        ),
        facts: vec!["the first thing the task does is to sleep, and nothing can cut it short".to_owned()],
        plimsoll: format!("pool.submit_after(job, {delay})?; // bounded, and seen in the registry"),
        tokio: format!(
            "due.insert(job, {delay}); // a tokio_util::time::DelayQueue that one task owns, its len() checked"
        ),
    };
    walker.tell_at(expr, verdict, place);
    true
}

fn is_binding(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Local(local) => local
            .init
            .as_ref()
            .is_none_or(|init| !any(Within::Expr(&init.expr), Reach::Now, |e| matches!(e, Expr::Await(_)))),
        Stmt::Item(_) => true,
        _ => false,
    }
}

fn is_sleep(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(expr, _) if sleeps(expr).is_some())
}

/// How long an expression sleeps, if that is what it does.
pub(crate) fn sleeps(expr: &Expr) -> Option<&Expr> {
    let Expr::Await(found) = expr else { return None };
    match peeled(&found.base) {
        Expr::Call(call) => {
            let path = path_text(callee(call)?);
            let last = path.rsplit("::").next().unwrap_or_default();
            matches!(last, "sleep" | "delay_for" | "sleep_until" | "delay")
                .then(|| call.args.first())
                .flatten()
        }
        _ => None,
    }
}

fn sleep_length(walker: &Walker<'_>, stmt: &Stmt) -> String {
    match stmt {
        Stmt::Expr(expr, _) => sleeps(expr).map_or_else(String::new, |length| walker.shown(length, 50)),
        _ => String::new(),
    }
}

/// Tells a task that starts tasks like itself; whether it was one.
pub(crate) fn judge_recursion<'a>(walker: &mut Walker<'a>, expr: &'a Expr, spawn: &Spawn<'a>) -> bool {
    let Some(function) = walker.functions.last() else { return false };
    let (name, body) = (function.name.clone(), function.body);
    if matches!(name.as_str(), "spawn" | "run" | "start") {
        return false;
    }
    let is_self = |inner: &Expr| match inner {
        Expr::Call(call) => callee(call).is_some_and(|path| {
            let text = path_text(path);
            text == name || text == format!("Self::{name}")
        }),
        Expr::MethodCall(call) => {
            let on = crate::syntax::last_name(&call.receiver);
            call.method == name && (on == "self" || on == "this")
        }
        _ => false,
    };
    if !any(Within::Expr(spawn.future), Reach::All, is_self) {
        return false;
    }
    // Where one within starts itself, that is the place to tell.
    let nested = any(Within::Expr(spawn.future), Reach::All, |inner| {
        spawn::started(walker, inner)
            .is_some_and(|spawn| any(Within::Expr(spawn.future), Reach::All, is_self))
    });
    if nested {
        return false;
    }
    // A single successor is a chain, not a tree.
    let in_loop = walker.in_loop() || loops_to_itself(spawn.future, &is_self);
    let mut sites = 0;
    any(Within::Block(body), Reach::All, |inner| {
        let starts = spawn::started(walker, inner)
            .is_some_and(|spawn| any(Within::Expr(spawn.future), Reach::All, is_self));
        sites += usize::from(starts);
        false
    });
    let in_loop = in_loop || sites > 1;
    let bounded = any(Within::Block(body), Reach::All, |inner| {
        is_acquire(inner) || matches!(inner, Expr::Binary(binary) if limits_depth(binary))
    });
    if !in_loop || bounded {
        return false;
    }
    let source = walker.turn().map_or(Source::Unknown, |round| round.origin.source).max(Source::Unknown);
    let verdict = Verdict {
        rule: Rule::RecursiveSpawn,
        source,
        most: Rank::Medium,
        message: format!(
            "`{name}` starts a task of itself for each child it finds: what it walks through decides how many there are"
        ),
        facts: vec!["it carries no depth that it compares, and takes no permit".to_owned()],
        plimsoll: format!("plimsoll::crawl([root], 64, {name}).await?; // the work returns what it found"),
        tokio: format!(
            "// a queue of what is still to be visited, and a JoinSet with its len() checked\nwhile set.len() < 64 {{ set.spawn({name}(waiting.pop()?)); }}"
        ),
    };
    walker.tell(expr, verdict);
    true
}

/// Whether a comparison is of how deep it is, or how far it may still go.
fn limits_depth(binary: &syn::ExprBinary) -> bool {
    use syn::BinOp::{Eq, Ge, Gt, Le, Lt};
    let compares = matches!(binary.op, Lt(_) | Le(_) | Gt(_) | Ge(_) | Eq(_));
    let words = ["depth", "level", "remaining", "ttl", "hops"];
    compares && (has_word(&compact(&binary.left), &words) || has_word(&compact(&binary.right), &words))
}

fn loops_to_itself(future: &Expr, is_self: &dyn Fn(&Expr) -> bool) -> bool {
    any(Within::Expr(future), Reach::All, |expr| match expr {
        Expr::ForLoop(found) => any(Within::Block(&found.body), Reach::All, is_self),
        Expr::While(found) => any(Within::Block(&found.body), Reach::All, is_self),
        _ => false,
    })
}
