//! Queues without a bound.

use syn::visit::{self, Visit};
use syn::{Block, Expr, Stmt};

use crate::finding::{Place, Rank, Source};
use crate::judge::verdict::{Verdict, rank};
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::scope::From;
use crate::syntax::{bound_names, callee, path_text, peeled};

/// Judges the making of a channel, and what is sent through one that has no bound.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    if is_unbounded(walker, expr) {
        made(walker, expr);
    } else if let Expr::MethodCall(call) = expr
        && matches!(call.method.to_string().as_str(), "send" | "unbounded_send" | "start_send")
    {
        sent(walker, call);
    }
}

fn is_unbounded(walker: &Walker<'_>, expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    if !call.args.is_empty() {
        return false;
    }
    let Some(path) = callee(call) else { return false };
    let path = walker.file.imports.full(&path_text(path));
    let (before, last) = path.rsplit_once("::").unwrap_or(("", &path));
    match last {
        "unbounded_channel" => true,
        "unbounded" | "unbounded_async" | "unbounded_blocking" => {
            ["flume", "channel", "crossbeam", "async_channel", "mpsc", "kanal"]
                .iter()
                .any(|of| before.contains(of))
        }
        "channel" => before.ends_with("mpsc") && !before.contains("tokio"),
        _ => false,
    }
}

fn made<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let sender = match walker.statement() {
        Some(Stmt::Local(local)) => bound_names(&local.pat).into_iter().next(),
        _ => None,
    };
    if let (Some(sender), Some(function)) = (&sender, walker.functions.last())
        && sends_a_few(function.body, sender)
    {
        return;
    }
    let name = sender.unwrap_or_else(|| "sender".to_owned());
    let verdict = Verdict {
        rule: Rule::UnboundedChannel,
        source: Source::Unknown,
        most: Rank::High,
        message: format!(
            "what is sent through `{name}` and not yet received is kept in memory, however much it is: no sender is ever made to wait"
        ),
        facts: vec!["the channel has no capacity".to_owned()],
        plimsoll: "let pool = Pool::builder(\"jobs\", work).queue(1_024).on_full(OnFull::Wait).build()?;"
            .to_owned(),
        tokio: format!(
            "let ({name}, receiver) = tokio::sync::mpsc::channel(1_024);\n{name}.send(value).await?; // waits while it is full"
        ),
    };
    walker.tell(expr, verdict);
}

/// What is sent in a loop that peers or input feed makes the channel one that they feed.
fn sent<'a>(walker: &mut Walker<'a>, call: &'a syn::ExprMethodCall) {
    let Some(name) = crate::syntax::variable(&call.receiver) else { return };
    let Some(made) = made_at(walker, &name) else { return };
    let Some(round) =
        walker.turn().filter(|round| round.origin.is_fed() && !round.origin.queued && round.bound.is_none())
    else {
        return;
    };
    let place = match walker.place() {
        Place::StartUp if round.origin.live => Place::Runtime,
        place => place,
    };
    let start = syn::spanned::Spanned::span(made).start();
    let told = walker.findings.iter_mut().find(|finding| {
        finding.rule == Rule::UnboundedChannel
            && (finding.start.line, finding.start.column) == (start.line, start.column + 1)
    });
    let Some(told) = told else { return };
    if rank(round.origin.source, place) > told.rank {
        told.rank = rank(round.origin.source, place);
        told.source = round.origin.source;
        told.place = place;
        told.message = format!(
            "each `{}` of {} is sent through `{name}`, which has no capacity: what comes faster than it is received is kept in memory",
            round.item, round.origin.because
        );
        told.facts.insert(0, format!("it is fed by {}", round.origin.because));
    }
}

/// The call that made the channel of which this is the sender.
fn made_at<'a>(walker: &Walker<'a>, name: &str) -> Option<&'a Expr> {
    let (mut name, mut upto) = (name.to_owned(), usize::MAX);
    for _ in 0..4 {
        let (nth, binding) = walker.scope.find(&name, upto)?;
        let From::Value(value) = binding.from else { return None };
        let value = peeled(value);
        if is_unbounded(walker, value) {
            return Some(value);
        }
        name = match value {
            Expr::MethodCall(call) if call.method == "clone" => crate::syntax::variable(&call.receiver)?,
            other => crate::syntax::variable(other)?,
        };
        upto = nth;
    }
    None
}

/// Whether all that is done with a sender is to send a few values, and not in a loop.
fn sends_a_few(body: &Block, sender: &str) -> bool {
    struct Uses<'s> {
        sender: &'s str,
        loops: usize,
        few: usize,
        other: usize,
    }
    impl<'ast> Visit<'ast> for Uses<'_> {
        fn visit_expr(&mut self, expr: &'ast Expr) {
            let turns = matches!(expr, Expr::Loop(_) | Expr::While(_) | Expr::ForLoop(_) | Expr::Closure(_));
            match expr {
                Expr::MethodCall(call)
                    if call.method == "send"
                        && crate::syntax::variable(&call.receiver).as_deref() == Some(self.sender) =>
                {
                    if self.loops == 0 {
                        self.few += 1;
                    } else {
                        self.other += 1;
                    }
                    call.args.iter().for_each(|arg| self.visit_expr(arg));
                    return;
                }
                Expr::Path(path) if path.path.is_ident(self.sender) => self.other += 1,
                Expr::Macro(_) => self.other += 1,
                // A field of the same name is set: the sender goes with it.
                _ => {}
            }
            self.loops += usize::from(turns);
            visit::visit_expr(self, expr);
            self.loops -= usize::from(turns);
        }
    }
    let mut uses = Uses { sender, loops: 0, few: 0, other: 0 };
    uses.visit_block(body);
    uses.few > 0 && uses.other == 0
}
