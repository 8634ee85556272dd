//! What is around an expression: loops, closures that are called for each item, tasks, blocks.

use syn::{Block, Expr, Pat, Stmt};

use crate::facts::{FunctionFacts, Role};
use crate::finding::Source;
use crate::judge::bounds::{self, Bound};
use crate::judge::walker::Walker;
use crate::origin::{self, Origin};
use crate::syntax::{Reach, Within, any, bound_names, compact, has_word, peeled};

/// A function that is being walked through.
pub(crate) struct Function<'a> {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) role: Role,
    pub(crate) body: &'a Block,
    /// Whether it is a method that many may be in at once.
    pub(crate) shares_self: bool,
    pub(crate) facts: FunctionFacts,
}

/// One thing around an expression.
#[derive(Clone, Copy)]
pub(crate) enum Frame<'a> {
    /// What is run again and again.
    Turn(Turn<'a>),
    /// A block, and the number of the statement in it.
    Block { block: &'a Block, at: usize },
    /// A task of its own.
    Task,
    /// A closure or a future that is run by somebody, at some time.
    Later,
    /// The future that a branch of `select!` waits for.
    Branch,
}

/// What is run again and again.
#[derive(Clone, Copy)]
pub(crate) enum Turn<'a> {
    For {
        pat: &'a Pat,
        iter: &'a Expr,
        body: &'a Block,
    },
    While {
        cond: &'a Expr,
        body: &'a Block,
        mark: usize,
    },
    Loop {
        body: &'a Block,
        mark: usize,
    },
    /// A closure that is called for each item of `over`, as that of `map`.
    Each {
        over: &'a Expr,
        body: &'a Expr,
        bound: Option<Bound>,
    },
}

/// A loop around an expression, as far as it matters how often it goes round.
pub(crate) struct Round {
    /// What it goes over.
    pub(crate) origin: Origin,
    /// What an item is called.
    pub(crate) item: String,
    /// What is gone over, in the code's words.
    pub(crate) over: String,
    /// Whether someone accepts connections in it.
    pub(crate) accepts: bool,
    /// Whether an item comes with a place to send the answer to: somebody waits for it.
    pub(crate) answered: bool,
    /// Whether it is a range of numbers.
    pub(crate) is_range: bool,
    /// What keeps the number in it small, if something does.
    pub(crate) bound: Option<Bound>,
}

/// Methods whose closure is called for each item.
const EACH: &[&str] = &[
    "map",
    "for_each",
    "filter_map",
    "flat_map",
    "then",
    "for_each_concurrent",
    "try_for_each",
    "try_for_each_concurrent",
    "and_then_each",
    "map_ok",
    "fold",
    "try_fold",
    "inspect",
    "retain",
];

/// Expressions that are looked at to tell where one value comes from: a value of many branches, each of
/// many, would be looked at for ever.
const STEPS_MAX: u32 = 96;

/// Words of where an answer is sent to.
const REPLIES: &[&str] =
    &["callback", "reply", "responder", "respond", "result", "response", "oneshot", "ack", "done"];

/// What the closure of a method call is called for each item of.
pub(crate) fn each_of(expr: &Expr) -> Option<&Expr> {
    let Expr::MethodCall(call) = expr else { return None };
    let method = call.method.to_string();
    if !EACH.contains(&method.as_str()) {
        return None;
    }
    // `map` of an option or a result is called once: only where an iterator or a stream is in sight.
    let many = method.contains("each") || iterates(&call.receiver);
    many.then_some(&*call.receiver)
}

fn iterates(expr: &Expr) -> bool {
    match peeled(expr) {
        Expr::MethodCall(call) => {
            let method = call.method.to_string();
            matches!(
                method.as_str(),
                "iter"
                    | "into_iter"
                    | "iter_mut"
                    | "keys"
                    | "values"
                    | "values_mut"
                    | "drain"
                    | "chunks"
                    | "lines"
                    | "split"
                    | "enumerate"
                    | "zip"
                    | "incoming"
                    | "into_keys"
                    | "into_values"
                    | "windows"
                    | "par_iter"
                    | "chars"
                    | "split_whitespace"
                    | "into_par_iter"
            ) || iterates(&call.receiver)
        }
        Expr::Call(call) => crate::syntax::callee(call).is_some_and(|path| {
            let text = crate::syntax::path_text(path);
            text.ends_with("stream::iter") || text == "iter"
        }),
        Expr::Range(_) => true,
        _ => false,
    }
}

impl<'a> Walker<'a> {
    /// The loop that decides how often what is here is run: the one among those around it, within the
    /// same task, that is fed the most.
    pub(crate) fn turn(&self) -> Option<Round> {
        let mut rounds = Vec::new();
        let mut bound = None;
        for frame in self.frames.iter().rev() {
            match frame {
                Frame::Task | Frame::Later => break,
                Frame::Branch => {}
                Frame::Block { block, at } => {
                    // What leaves the loop, or is followed by what does, goes round once.
                    if leaves(&block.stmts[at + 1..]) || leaves(&block.stmts[*at..=*at]) {
                        return None;
                    }
                }
                Frame::Turn(turn) => {
                    let round = self.round(turn);
                    // To wait for tasks in an outer loop bounds its rounds, not what one round starts.
                    let counts = |bound: &Bound| !bound.is_join || rounds.is_empty();
                    bound = bound.or_else(|| round.bound.filter(counts));
                    rounds.push(round);
                }
            }
        }
        let mut chosen = rounds.into_iter().reduce(|inner, outer| {
            let is_more = outer.origin.is_fed() && !inner.origin.is_fed();
            if is_more { outer } else { inner }
        })?;
        chosen.bound = bound;
        Some(chosen)
    }

    fn round(&self, turn: &Turn<'a>) -> Round {
        match *turn {
            Turn::For { pat, iter, body } => Round {
                origin: self.origin(iter),
                item: item_name(pat),
                answered: answers(pat),
                over: self.shown(peeled(iter), 60),
                accepts: is_accept(iter),
                is_range: matches!(peeled(iter), Expr::Range(_)),
                bound: bounds::of_origin(&self.origin(iter)).or_else(|| bounds::in_turn(body)),
            },
            Turn::Each { over, body, bound } => Round {
                origin: self.origin(over),
                item: self.closure_item(),
                answered: false,
                over: self.shown(peeled(over), 60),
                accepts: is_accept(over),
                is_range: matches!(peeled(over), Expr::Range(_)),
                bound: bounds::of_origin(&self.origin(over)).or(bound).or_else(|| match body {
                    Expr::Block(block) => bounds::in_turn(&block.block),
                    _ => None,
                }),
            },
            Turn::While { cond, body, mark } => {
                let given = match cond {
                    Expr::Let(found) => Some((&*found.pat, &*found.expr)),
                    _ => None,
                };
                let live = self.live_since(mark);
                let bound = bounds::in_turn(body).or_else(|| bounds::compares(cond));
                match given {
                    Some((pat, expr)) if self.origin(expr).source != Source::Unknown => Round {
                        origin: self.origin(expr),
                        item: item_name(pat),
                        answered: answers(pat),
                        over: self.shown(peeled(expr), 60),
                        accepts: is_accept(expr),
                        is_range: false,
                        bound,
                    },
                    _ => live.map_or_else(|| nothing_known(bound), |round| Round { bound, ..round }),
                }
            }
            Turn::Loop { body, mark } => {
                let bound = bounds::in_turn(body);
                self.live_since(mark).map_or_else(|| nothing_known(bound), |round| Round { bound, ..round })
            }
        }
    }

    /// What came in since a mark: the connection that was accepted, the message that was received.
    fn live_since(&self, mark: usize) -> Option<Round> {
        let mut best: Option<Round> = None;
        for nth in mark..self.scope.mark() {
            let Some((name, expr)) = self.scope.value(nth) else { continue };
            self.steps.set(STEPS_MAX);
            let origin = self.origin_at(expr, nth, 6);
            if !origin.live || best.as_ref().is_some_and(|best| best.origin.source >= origin.source) {
                continue;
            }
            best = Some(Round {
                origin,
                item: name.to_owned(),
                answered: self.is_answered(expr, mark),
                over: self.shown(peeled(expr), 60),
                accepts: is_accept(expr),
                is_range: false,
                bound: None,
            });
        }
        best
    }

    /// Whether a value that was taken apart held a place to send the answer to.
    fn is_answered(&self, expr: &Expr, mark: usize) -> bool {
        let bound = (mark..self.scope.mark()).filter_map(|nth| self.scope.value(nth));
        let names: Vec<&str> =
            bound.filter(|(_, value)| std::ptr::eq(*value, expr)).map(|(name, _)| name).collect();
        names.len() > 1 && names.iter().any(|name| has_word(name, REPLIES))
    }

    fn closure_item(&self) -> String {
        let bound = (0..self.scope.mark()).rev().find_map(|nth| self.scope.item(nth));
        bound.unwrap_or("item").to_owned()
    }

    /// The statements after the one that is walked through, in its block.
    pub(crate) fn rest_of_block(&self) -> &'a [Stmt] {
        let block = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Block { block, at } => Some(&block.stmts[at + 1..]),
            _ => None,
        });
        block.unwrap_or_default()
    }

    /// The statement that is walked through.
    pub(crate) fn statement(&self) -> Option<&'a Stmt> {
        self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Block { block, at } => block.stmts.get(*at),
            _ => None,
        })
    }

    /// Whether what is here runs in a loop, within the same task.
    pub(crate) fn in_loop(&self) -> bool {
        let inner = self.frames.iter().rev().take_while(|frame| !matches!(frame, Frame::Task | Frame::Later));
        inner.into_iter().any(|frame| matches!(frame, Frame::Turn(_)))
    }
}

fn nothing_known(bound: Option<Bound>) -> Round {
    Round {
        origin: Origin::unknown(),
        item: "turn".to_owned(),
        answered: false,
        over: String::new(),
        accepts: false,
        is_range: false,
        bound,
    }
}

/// Whether what a pattern takes apart holds a place to send the answer to.
fn answers(pat: &Pat) -> bool {
    let names = bound_names(pat);
    names.len() > 1 && names.iter().any(|name| has_word(name, REPLIES))
}

fn item_name(pat: &Pat) -> String {
    bound_names(pat).into_iter().find(|name| !name.starts_with('_')).unwrap_or_else(|| "item".to_owned())
}

/// Whether an expression accepts connections.
fn is_accept(expr: &Expr) -> bool {
    any(Within::Expr(expr), Reach::Now, |expr| match expr {
        Expr::MethodCall(call) => {
            let method = call.method.to_string();
            matches!(method.as_str(), "accept" | "incoming" | "poll_accept")
        }
        _ => false,
    })
}

/// Whether statements leave the loop, whatever happens: their last is a `break` or `return`.
fn leaves(stmts: &[Stmt]) -> bool {
    match stmts.last() {
        Some(Stmt::Expr(expr, _)) => matches!(expr, Expr::Break(_) | Expr::Return(_)),
        _ => false,
    }
}

impl<'a> Walker<'a> {
    /// Whether the function compares how many a variable holds.
    pub(crate) fn is_counted(&self, name: &str) -> bool {
        let Some(function) = self.functions.last() else { return false };
        let length = format!("{name}.len()");
        any(Within::Block(function.body), Reach::All, |expr| match expr {
            Expr::Binary(binary) => {
                use syn::BinOp::{Ge, Gt, Le, Lt};
                let orders = matches!(binary.op, Lt(_) | Le(_) | Gt(_) | Ge(_));
                orders && (compact(&binary.left) == length || compact(&binary.right) == length)
            }
            _ => false,
        })
    }

    /// What a variable was bound to; any other expression is itself.
    pub(crate) fn value_of<'e>(&self, expr: &'e Expr) -> &'e Expr
    where
        'a: 'e,
    {
        let bound = crate::syntax::variable(expr).and_then(|name| self.scope.find(&name, usize::MAX));
        match bound.map(|(_, binding)| binding.from) {
            Some(crate::scope::From::Value(value)) => value,
            _ => expr,
        }
    }

    /// Where a value comes from, seen from here.
    pub(crate) fn origin(&self, expr: &Expr) -> Origin {
        self.steps.set(STEPS_MAX);
        self.origin_at(expr, self.scope.mark(), 8)
    }

    /// Where a value comes from, with the first `upto` variables in sight.
    pub(crate) fn origin_at(&self, expr: &Expr, upto: usize, fuel: u8) -> Origin {
        let Some(fuel) = fuel.checked_sub(1) else { return Origin::unknown() };
        let Some(steps) = self.steps.get().checked_sub(1) else { return Origin::unknown() };
        self.steps.set(steps);
        match expr {
            Expr::Lit(_) => Origin::constant("a constant"),
            Expr::Array(list) if list.elems.is_empty() => Origin::unknown(),
            Expr::Array(list) => Origin::constant(format!("a list of {} in the code", list.elems.len())),
            Expr::Repeat(repeat) => self.origin_at(&repeat.len, upto, fuel),
            Expr::Range(range) => self.origin_of_range(range, upto, fuel),
            Expr::Path(path) => self.origin_of_path(&path.path, upto, fuel),
            Expr::Field(field) => self.origin_of_field(field, upto, fuel),
            Expr::MethodCall(call) => self.origin_of_method(call, upto, fuel),
            Expr::Call(call) => self.origin_of_call(call, upto, fuel),
            Expr::Index(index) => self.origin_at(&index.expr, upto, fuel),
            Expr::Unary(unary) => self.origin_at(&unary.expr, upto, fuel),
            Expr::Binary(binary) => {
                self.origin_at(&binary.left, upto, fuel).or(self.origin_at(&binary.right, upto, fuel))
            }
            Expr::If(found) => {
                let other = found.else_branch.as_ref().map(|(_, other)| self.origin_at(other, upto, fuel));
                let tail = tail_of(&found.then_branch).map(|tail| self.origin_at(tail, upto, fuel));
                tail.into_iter().chain(other).reduce(Origin::or).unwrap_or_else(Origin::unknown)
            }
            Expr::Match(found) => {
                let arms = found.arms.iter().take(8).map(|arm| self.origin_at(&arm.body, upto, fuel));
                arms.chain([self.origin_at(&found.expr, upto, fuel)])
                    .reduce(Origin::or)
                    .unwrap_or_else(Origin::unknown)
            }
            Expr::Block(found) => {
                tail_of(&found.block).map_or_else(Origin::unknown, |tail| self.origin_at(tail, upto, fuel))
            }
            _ if !std::ptr::eq(peeled(expr), expr) => self.origin_at(peeled(expr), upto, fuel),
            _ => Origin::unknown(),
        }
    }

    fn origin_of_range(&self, range: &syn::ExprRange, upto: usize, fuel: u8) -> Origin {
        let Some(end) = &range.end else { return Origin::unknown() };
        let end = self.origin_at(end, upto, fuel);
        // A count that nobody from outside decides is a number that someone chose.
        if end.is_fed() { end } else { end.bounded("a range that someone chose") }
    }

    fn origin_of_path(&self, path: &syn::Path, upto: usize, fuel: u8) -> Origin {
        let Some(name) = path.get_ident().map(ToString::to_string) else {
            let text = crate::syntax::path_text(path);
            return origin::of_name(text.rsplit("::").next().unwrap_or_default())
                .unwrap_or_else(Origin::unknown);
        };
        let Some((nth, binding)) = self.scope.find(&name, upto) else {
            return origin::of_name(&name).unwrap_or_else(Origin::unknown);
        };
        let told = match binding.from {
            crate::scope::From::Item(value) if is_chunks(value) => {
                self.origin_at(value, nth, fuel).bounded("chunks")
            }
            crate::scope::From::Value(value) | crate::scope::From::Item(value) => {
                self.origin_at(value, nth, fuel)
            }
            crate::scope::From::Param(param) => self.origin_of_param(&name, param, binding.ty.as_deref()),
            crate::scope::From::Elsewhere => Origin::unknown(),
        };
        if let Some(grown) = &binding.grown
            && grown.origin.source >= told.source
        {
            return grown.origin.clone();
        }
        if told.source != Source::Unknown && binding.grown.is_none() {
            return told;
        }
        let by_type = binding.ty.as_deref().and_then(|ty| origin::of_type(ty, &name));
        by_type.or_else(|| origin::of_name(&name)).unwrap_or(told)
    }

    fn origin_of_param(&self, name: &str, nth: usize, ty: Option<&str>) -> Origin {
        if let Some(told) = ty.and_then(|ty| origin::of_type(ty, name)) {
            return told;
        }
        let Some(function) = self.functions.last() else { return Origin::unknown() };
        let given = self.krate.argument(&function.owner, &function.name, nth);
        match given {
            // What a caller is given by a type's name alone is too little to say it of what it hands on.
            Some(given) if given.source != Source::Unknown && given.sure => given,
            _ => Origin::unknown(),
        }
    }

    fn origin_of_field(&self, field: &syn::ExprField, upto: usize, fuel: u8) -> Origin {
        let member = compact(&field.member);
        let base = peeled(&field.base);
        let is_self = crate::syntax::variable(base).is_some_and(|name| name == "self");
        if !is_self {
            let told = self.origin_at(base, upto, fuel);
            if told.source != Source::Unknown {
                return told;
            }
        }
        let shown = self.shown(field, 40);
        let ty =
            if is_self { self.krate.field(self.owner(), &member) } else { self.krate.any_field(&member) };
        let told = ty.and_then(|ty| origin::of_type(ty, &shown)).or_else(|| origin::of_name(&member));
        told.unwrap_or_else(Origin::unknown)
    }

    fn origin_of_method(&self, call: &syn::ExprMethodCall, upto: usize, fuel: u8) -> Origin {
        let method = call.method.to_string();
        let on = self.shown(peeled(&call.receiver), 40);
        match method.as_str() {
            "take" if call.args.len() == 1 => {
                let most = self.origin_at(&call.args[0], upto, fuel);
                let over = self.origin_at(&call.receiver, upto, fuel);
                return if most.is_fed() { over } else { over.bounded("take") };
            }
            // As many as the shorter of the two.
            "zip" if call.args.len() == 1 => {
                let other = self.origin_at(&call.args[0], upto, fuel);
                let over = self.origin_at(&call.receiver, upto, fuel);
                return if other.source == Source::Constant { other } else { over };
            }
            "min" | "clamp" if call.args.len() <= 2 && !call.args.is_empty() => {
                return self.origin_at(&call.receiver, upto, fuel).bounded(method);
            }
            // What is waited for until something else happens.
            "until" | "run_until" | "run_until_cancelled" | "timeout" if call.args.len() == 1 => {
                return self.origin_at(&call.args[0], upto, fuel);
            }
            "chunks" | "array_chunks" | "windows" => {
                return self.origin_at(&call.receiver, upto, fuel);
            }
            "accept_bi" | "accept_uni" | "open_bi" => {
                return Origin::live(Source::Peers, format!("the streams of `{on}`"))
                    .bounded("how many streams the connection allows");
            }
            _ => {}
        }
        let receiver = self.origin_at(&call.receiver, upto, fuel);
        if receiver.source == Source::Configuration && method != "accept" {
            return receiver;
        }
        if let Some(told) = origin::of_method(&method, &on, call.args.len()) {
            return if receiver.bound.is_some() { Origin { bound: receiver.bound, ..told } } else { told };
        }
        let is_self = crate::syntax::variable(&call.receiver).is_some_and(|name| name == "self");
        if receiver.source != Source::Unknown && !is_self && (origin::passes_on(&method) || reads(&method)) {
            return receiver;
        }
        if receiver.bound.is_some() {
            return receiver;
        }
        origin::of_name(&method).filter(|_| call.args.is_empty()).unwrap_or_else(Origin::unknown)
    }

    fn origin_of_call(&self, call: &syn::ExprCall, upto: usize, fuel: u8) -> Origin {
        let Some(path) = crate::syntax::callee(call) else { return Origin::unknown() };
        let text = self.file.imports.full(&crate::syntax::path_text(path));
        if text.starts_with("std::env::") || text.starts_with("env::") {
            return Origin::new(Source::Configuration, "the environment or the arguments");
        }
        if text.ends_with("fs::read_dir")
            || text.ends_with("fs::read_to_string")
            || text.ends_with("fs::read")
        {
            return Origin::new(Source::Input, "what is on the disk");
        }
        if text.ends_with("num_cpus::get") || text.ends_with("available_parallelism") {
            return Origin::new(Source::Configuration, "how many processors there are");
        }
        let last = text.rsplit("::").next().unwrap_or_default();
        if origin::wraps(&text) {
            let args = call.args.iter().map(|arg| self.origin_at(arg, upto, fuel));
            return args.reduce(Origin::or).unwrap_or_else(Origin::unknown);
        }
        let fed = call.args.iter().map(|arg| self.origin_at(arg, upto, fuel)).find(|origin| origin.live);
        match fed {
            // `read_frame(&mut socket)`, `next_message(&mut stream)`.
            Some(fed)
                if has_word(
                    last,
                    &["timeout", "read", "recv", "receive", "next", "accept", "decode", "parse"],
                ) =>
            {
                fed
            }
            _ => Origin::unknown(),
        }
    }
}

/// Whether a method of what is fed returns what is fed: a field by another name, a part of a message.
fn reads(method: &str) -> bool {
    has_word(
        method,
        &[
            "into",
            "as",
            "get",
            "read",
            "recv",
            "receive",
            "next",
            "decode",
            "parse",
            "json",
            "text",
            "bytes",
            "payload",
            "body",
            "take",
            "message",
            "items",
            "deserialize",
        ],
    ) || method.ends_with('s')
}

fn is_chunks(expr: &Expr) -> bool {
    matches!(peeled(expr), Expr::MethodCall(call) if call.method.to_string().contains("chunks"))
}

fn tail_of(block: &Block) -> Option<&Expr> {
    match block.stmts.last() {
        Some(Stmt::Expr(expr, None)) => Some(expr),
        _ => None,
    }
}
