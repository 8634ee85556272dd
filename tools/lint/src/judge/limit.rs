//! Limits that are none: zero, or whatever the other side says.

use syn::{Expr, Stmt};

use crate::expand::MACRO;
use crate::finding::{Rank, Source};
use crate::judge::verdict::Verdict;
use crate::judge::walker::Walker;
use crate::rule::Rule;
use crate::scope::From;
use crate::syntax::{
    Reach, Within, any, bound_names, callee, compact, has_attribute, has_word, head, mentions, path_text,
    peeled, variable,
};

/// Judges a number that limits something.
pub(crate) fn judge<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    match expr {
        Expr::Call(call) => {
            let Some(path) = callee(call) else { return };
            let full = walker.file.imports.full(&path_text(path));
            let of = full.rsplit("::").nth(1).unwrap_or_default().to_owned();
            let last = full.rsplit("::").next().unwrap_or_default();
            let is_semaphore = of.contains("Semaphore") && matches!(last, "new" | "const_new");
            let Some(limit) = call.args.first() else { return };
            if is_semaphore && compact(peeled(limit)) == "0" {
                zero(walker, expr);
            } else if is_semaphore || (last == "channel" && full.contains("mpsc")) || last == "with_capacity"
            {
                from_input(walker, expr, &format!("{of}::{last}"), limit);
            }
        }
        Expr::MethodCall(call) => {
            let method = call.method.to_string();
            let Some(limit) = call.args.first() else { return };
            match method.as_str() {
                "buffer_unordered" | "buffered" if compact(peeled(limit)) == "0" => {
                    told_zero(walker, expr, "nothing is ever polled");
                }
                "buffer_unordered"
                | "buffered"
                | "for_each_concurrent"
                | "try_for_each_concurrent"
                | "reserve" => {
                    from_input(walker, expr, &method, limit);
                }
                "resize" if call.args.len() == 2 => from_input(walker, expr, &method, limit),
                _ => {}
            }
        }
        Expr::Repeat(found) if has_attribute(&found.attrs, MACRO) => {
            from_input(walker, expr, "vec!", &found.len);
        }
        _ => {}
    }
}

fn zero<'a>(walker: &mut Walker<'a>, expr: &'a Expr) {
    let Some(name) = kept_as(walker, expr) else { return };
    let here = walker.functions.last().is_some_and(|function| {
        any(Within::Block(function.body), Reach::All, |inner| {
            matches!(inner, Expr::MethodCall(call) if matches!(call.method.to_string().as_str(), "add_permits" | "close"))
        })
    });
    if here || walker.krate.is_refilled(&name) {
        return;
    }
    told_zero(walker, expr, &format!("who acquires of `{name}` waits for ever: nothing adds to it"));
}

fn told_zero<'a>(walker: &mut Walker<'a>, expr: &'a Expr, why: &str) {
    let verdict = Verdict {
        rule: Rule::ZeroSemaphore,
        source: Source::Unknown,
        most: Rank::High,
        message: format!("a limit of zero admits nobody: {why}"),
        facts: vec!["the limit is zero, and nothing raises it".to_owned()],
        plimsoll: "Semaphore::builder(\"…\").limit(16).build()?; // zero is refused, with the range"
            .to_owned(),
        tokio: "Semaphore::new(16)".to_owned(),
    };
    walker.tell(expr, verdict);
}

/// The variable or field that a value is put in.
fn kept_as(walker: &Walker<'_>, expr: &Expr) -> Option<String> {
    let field = walker.parents.iter().rev().find_map(|parent| match parent {
        Expr::Struct(found) => found.fields.iter().find_map(|field| {
            let holds = any(Within::Expr(&field.expr), Reach::Now, |inner| std::ptr::eq(inner, expr));
            holds.then(|| compact(&field.member))
        }),
        _ => None,
    });
    field.or_else(|| match walker.statement() {
        Some(Stmt::Local(local)) => bound_names(&local.pat).into_iter().next(),
        _ => walker.item.clone(),
    })
}

/// Tells a limit that is a number which the other side has sent.
fn from_input<'a>(walker: &mut Walker<'a>, expr: &'a Expr, what: &str, limit: &'a Expr) {
    let Some(told) = walker.read_number(limit, walker.scope.mark(), 6) else { return };
    if is_checked(walker, limit, &told.name) {
        return;
    }
    let shown = walker.shown(peeled(limit), 50);
    let verdict = Verdict {
        rule: Rule::LimitFromInput,
        source: Source::Input,
        most: if told.sure { Rank::High } else { Rank::Medium },
        message: format!(
            "`{what}` is given `{shown}`, which is {}: who sends it decides how much there is",
            told.because
        ),
        facts: vec!["nothing compares it, nor takes the smaller of it and a limit".to_owned()],
        plimsoll: format!(
            "let room = bytes.try_acquire_many({shown})?; // refused at once where it is more than the capacity"
        ),
        tokio: format!("if {shown} > MAX {{ return Err(…); }} // or {shown}.min(MAX)"),
    };
    let place = walker.place();
    walker.tell_method(expr, verdict, place);
}

/// A number that was read.
pub(crate) struct Told {
    because: String,
    /// What it is called, where it is compared.
    name: String,
    sure: bool,
}

/// Whether a number is compared or cut anywhere in the function.
fn is_checked(walker: &Walker<'_>, limit: &Expr, name: &str) -> bool {
    let Some(function) = walker.functions.last() else { return true };
    let other = variable(limit).unwrap_or_default();
    let named = |expr: &Expr| {
        mentions(Within::Expr(expr), name)
            || (!other.is_empty() && mentions(Within::Expr(expr), &other))
            || (name.contains('.') && compact(expr).contains(name))
    };
    any(Within::Block(function.body), Reach::All, |expr| match expr {
        Expr::Binary(binary) => {
            use syn::BinOp::{Ge, Gt, Le, Lt};
            matches!(binary.op, Lt(_) | Le(_) | Gt(_) | Ge(_))
                && (named(&binary.left) || named(&binary.right))
        }
        Expr::MethodCall(call) => {
            let method = call.method.to_string();
            let cuts = matches!(method.as_str(), "min" | "clamp" | "contains" | "checked_sub" | "cmp");
            let checks = has_word(&method, &["check", "validate", "ensure", "verify", "limit", "valid"]);
            (cuts && (named(&call.receiver) || call.args.iter().any(named)))
                || (checks && call.args.iter().any(named))
        }
        Expr::Call(call) => callee(call).is_some_and(|path| {
            let path = path_text(path);
            has_word(&path, &["min", "check", "validate", "ensure", "verify", "limit"])
                && call.args.iter().any(named)
        }),
        Expr::Match(found) => named(&found.expr),
        _ => false,
    })
}

impl<'a> Walker<'a> {
    /// Whether a number was read from the other side as such: not the length of what has been read.
    fn read_number(&self, expr: &'a Expr, upto: usize, fuel: u8) -> Option<Told> {
        let fuel = fuel.checked_sub(1)?;
        match peeled(expr) {
            Expr::Path(path) => {
                let name = path.path.get_ident()?.to_string();
                let (nth, binding) = self.scope.find(&name, upto)?;
                let From::Value(value) = binding.from else { return None };
                let told = self.read_number(value, nth, fuel)?;
                Some(Told { name, ..told })
            }
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                match method.as_str() {
                    "read_u32" | "read_u64" | "read_u32_le" | "read_u64_le" | "read_i32" | "read_i64"
                    | "read_i32_le" | "get_u32" | "get_u64" | "get_u32_le" | "get_u64_le" | "read_varint"
                        if call.args.is_empty() =>
                    {
                        let on = self.shown(peeled(&call.receiver), 40);
                        let sure = method.starts_with("read") && self.is_awaited_in(expr);
                        Some(Told { because: format!("a number that `{on}` was sent"), name: method, sure })
                    }
                    "unwrap" | "expect" | "into" | "try_into" | "clone" | "map_err" | "unwrap_or"
                    | "unwrap_or_default" | "unwrap_or_else" | "context" => {
                        self.read_number(&call.receiver, upto, fuel)
                    }
                    _ => None,
                }
            }
            Expr::Field(field) => {
                let member = compact(&field.member);
                let counts = has_word(
                    &member,
                    &[
                        "limit",
                        "count",
                        "size",
                        "length",
                        "concurrency",
                        "parallelism",
                        "batch",
                        "max",
                        "capacity",
                    ],
                );
                let mut base = peeled(&field.base);
                while let Expr::Field(inner) = base {
                    base = peeled(&inner.base);
                }
                let name = variable(base)?;
                let (_, binding) = self.scope.find(&name, upto)?;
                let asked = match (binding.ty.as_deref(), binding.from) {
                    (Some(ty), _) => matches!(head(ty), "Json" | "Query" | "Form" | "Path" | "Request"),
                    // `let query = request.into_inner();`
                    (None, From::Value(value)) => {
                        let origin = self.origin(value);
                        origin.sure && origin.because.starts_with("the request (")
                    }
                    _ => false,
                };
                (counts && asked).then(|| Told {
                    because: format!("a number of the request (`{}`)", self.shown(field, 40)),
                    name: compact(field),
                    sure: true,
                })
            }
            _ => None,
        }
    }

    fn is_awaited_in(&self, expr: &Expr) -> bool {
        any(Within::Expr(expr), Reach::Now, |inner| matches!(inner, Expr::Await(_)))
    }
}
