use std::cell::Cell;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Stmt};

use crate::expand::{BRANCH, MACRO};
use crate::facts::{CallFacts, CrateFacts, FileFacts, FunctionFacts, Role, role_of};
use crate::finding::{Finding, Place};
use crate::imports::Imports;
use crate::judge::{self, frame::Frame, frame::Function, frame::Turn};
use crate::origin::Origin;
use crate::scope::{From, Scope};
use crate::syntax::{callee, has_attribute, path_text, peeled, type_text};

/// What is known of a file before it is walked through.
pub(crate) struct FileView<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    /// Where each line begins.
    pub(crate) lines: Vec<usize>,
    pub(crate) module: String,
    pub(crate) is_test: bool,
    pub(crate) imports: Imports,
}

/// What a walk is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// To learn what the crate is made of.
    Collect,
    /// To judge it, with that in hand.
    Judge,
}

/// Goes through a file, knowing at each expression which loops, tasks and variables are around it.
pub(crate) struct Walker<'a> {
    pub(crate) file: &'a FileView<'a>,
    pub(crate) krate: &'a CrateFacts,
    pub(crate) pass: Pass,
    /// The type whose methods are walked through, and its trait.
    pub(crate) owners: Vec<(String, Option<String>)>,
    modules: Vec<String>,
    tests: usize,
    pub(crate) functions: Vec<Function<'a>>,
    pub(crate) scope: Scope<'a>,
    pub(crate) frames: Vec<Frame<'a>>,
    /// The expressions around the current one, itself last.
    pub(crate) parents: Vec<&'a Expr>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) facts: FileFacts,
    pub(crate) functions_seen: usize,
    /// The static or constant whose value is walked through.
    pub(crate) item: Option<String>,
    /// How many more expressions are looked at to tell where a value comes from.
    pub(crate) steps: Cell<u32>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(file: &'a FileView<'a>, krate: &'a CrateFacts, pass: Pass) -> Self {
        Self {
            file,
            krate,
            pass,
            owners: Vec::new(),
            modules: Vec::new(),
            tests: 0,
            functions: Vec::new(),
            scope: Scope::default(),
            frames: Vec::new(),
            parents: Vec::new(),
            findings: Vec::new(),
            facts: FileFacts::default(),
            functions_seen: 0,
            item: None,
            steps: Cell::new(0),
        }
    }

    /// The type whose method this is; empty outside.
    pub(crate) fn owner(&self) -> &str {
        self.owners.last().map_or("", |(owner, _)| owner)
    }

    /// When the code here runs.
    pub(crate) fn place(&self) -> Place {
        if self.file.is_test || self.tests > 0 {
            return Place::Test;
        }
        let Some(function) = self.functions.last() else { return Place::StartUp };
        match function.role {
            Role::Test => Place::Test,
            _ if self.krate.is_on_request(&function.owner, &function.name) => Place::RequestPath,
            Role::Handler => Place::RequestPath,
            Role::StartUp => Place::StartUp,
            Role::Plain => Place::Runtime,
        }
    }

    /// The function here, with its modules and type.
    pub(crate) fn function_path(&self) -> String {
        let mut parts: Vec<&str> = vec![&self.file.module];
        parts.extend(self.modules.iter().map(String::as_str));
        for function in &self.functions {
            parts.extend([function.owner.as_str(), function.name.as_str()]);
        }
        parts.retain(|part| !part.is_empty());
        parts.join("::")
    }

    fn in_test(&mut self, is_test: bool, visit: impl FnOnce(&mut Self)) {
        self.tests += usize::from(is_test);
        visit(self);
        self.tests -= usize::from(is_test);
    }

    pub(crate) fn within(&mut self, frame: Frame<'a>, visit: impl FnOnce(&mut Self)) {
        let mark = self.scope.mark();
        self.frames.push(frame);
        visit(self);
        self.frames.pop();
        self.scope.leave(mark);
    }

    fn function(&mut self, signature: &'a syn::Signature, attrs: &'a [syn::Attribute], body: &'a Block) {
        let (owner, trait_name) = self.owners.last().cloned().unwrap_or_default();
        let role = role_of(signature, attrs, trait_name.as_deref());
        let facts = FunctionFacts::of(signature, role, &owner);
        let by_self = signature.receiver();
        let shares_self = by_self.is_some_and(|by| by.reference.is_some() && by.mutability.is_none());
        self.functions_seen += 1;
        let frames = std::mem::take(&mut self.frames);
        let parents = std::mem::take(&mut self.parents);
        let mark = self.scope.mark();
        for (nth, (name, ty)) in facts.params.iter().enumerate() {
            self.scope.bind_param(name, ty, nth);
        }
        self.functions.push(Function { name: facts.name.clone(), owner, role, body, shares_self, facts });
        if self.pass == Pass::Judge {
            judge::function(self);
        }
        self.visit_block(body);
        if let Some(function) = self.functions.pop() {
            let mut facts = function.facts;
            if self.tests > 0 || self.file.is_test {
                facts.role = Role::Test;
            }
            self.facts.functions.push(facts);
        }
        self.scope.leave(mark);
        self.frames = frames;
        self.parents = parents;
    }

    /// Remembers a call of what may be a function of this crate.
    fn note_call(&mut self, name: String, is_own: bool, args: impl Iterator<Item = &'a Expr>) {
        let in_test = self.place() == Place::Test;
        if let Some(function) = self.functions.last_mut() {
            function.facts.calls.push(if is_own { format!(".{name}") } else { name.clone() });
        }
        if self.pass == Pass::Judge {
            return;
        }
        let arguments: Vec<Origin> = args.map(|arg| self.origin(arg)).collect();
        let each = self
            .turn()
            .filter(|round| round.bound.is_none() && round.origin.is_fed())
            .map(|round| round.origin);
        if each.is_some() || arguments.iter().any(|origin| origin.source != crate::finding::Source::Unknown) {
            self.facts.calls.push(CallFacts { name, in_test, arguments, each });
        }
    }

    fn notes(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                let Some(path) = callee(call) else { return };
                let text = path_text(path);
                let last = text.rsplit("::").next().unwrap_or_default().to_owned();
                if last == "timeout" || last == "timeout_at" {
                    self.facts.times_out = true;
                }
                if matches!(last.as_str(), "get" | "post" | "put" | "delete" | "patch" | "any" | "from_fn")
                    && self.pass == Pass::Collect
                {
                    for arg in &call.args {
                        if let Expr::Path(handler) = peeled(arg) {
                            self.facts.routed.push(
                                path_text(&handler.path).rsplit("::").next().unwrap_or_default().to_owned(),
                            );
                        }
                    }
                }
                let is_own = text == format!("Self::{last}");
                self.note_call(last, is_own, call.args.iter());
            }
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                if method == "timeout" || method == "read_timeout" {
                    self.facts.times_out = true;
                }
                if matches!(method.as_str(), "add_permits" | "close" | "release" | "set_limit" | "resize") {
                    let name = match peeled(&call.receiver) {
                        Expr::Field(field) => crate::syntax::compact(&field.member),
                        other => crate::syntax::variable(other).unwrap_or_default(),
                    };
                    self.facts.refilled.push(name);
                }
                let is_own = crate::syntax::variable(&call.receiver)
                    .is_some_and(|name| name == "self" || name == "this");
                self.note_call(method, is_own, call.args.iter());
            }
            _ => {}
        }
    }

    fn visit_for(&mut self, found: &'a syn::ExprForLoop) {
        self.visit_expr(&found.expr);
        let frame = Frame::Turn(Turn::For { pat: &found.pat, iter: &found.expr, body: &found.body });
        self.within(frame, |this| {
            this.scope.bind(&found.pat, From::Item(&found.expr));
            this.visit_block(&found.body);
        });
    }

    fn visit_while(&mut self, found: &'a syn::ExprWhile) {
        let frame =
            Frame::Turn(Turn::While { cond: &found.cond, body: &found.body, mark: self.scope.mark() });
        self.within(frame, |this| {
            this.visit_expr(&found.cond);
            this.visit_block(&found.body);
        });
    }

    fn visit_if(&mut self, found: &'a syn::ExprIf) {
        let mark = self.scope.mark();
        self.visit_expr(&found.cond);
        self.visit_block(&found.then_branch);
        self.scope.leave(mark);
        if let Some((_, other)) = &found.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_match(&mut self, found: &'a syn::ExprMatch) {
        self.visit_expr(&found.expr);
        for arm in &found.arms {
            let mark = self.scope.mark();
            self.scope.bind(&arm.pat, From::Value(&found.expr));
            if let Some((_, guard)) = &arm.guard {
                self.visit_expr(guard);
            }
            self.visit_expr(&arm.body);
            self.scope.leave(mark);
        }
    }

    fn visit_closure(&mut self, found: &'a syn::ExprClosure, frame: Frame<'a>, from: From<'a>) {
        self.within(frame, |this| {
            for input in &found.inputs {
                this.scope.bind(input, from);
            }
            this.visit_expr(&found.body);
        });
    }

    /// The arguments of a call: what is handed to `spawn` is a task of its own, what is handed to `map`
    /// is run for each item.
    fn visit_args(&mut self, expr: &'a Expr, args: impl Iterator<Item = &'a Expr>) {
        let spawned = judge::spawn::future_of(self, expr);
        let each = judge::frame::each_of(expr);
        for arg in args {
            let is_task = spawned.is_some_and(|future| std::ptr::eq(future, arg));
            match arg {
                Expr::Closure(closure) if is_task => self.visit_task(arg, |this| {
                    this.visit_closure(closure, Frame::Task, From::Elsewhere);
                }),
                Expr::Async(found) if is_task => self.visit_task(arg, |this| {
                    this.within(Frame::Task, |this| this.visit_block(&found.block));
                }),
                Expr::Closure(closure) => match each {
                    Some(over) => {
                        let bound = judge::bounds::of_adapter(self, expr);
                        let turn = Turn::Each { over, body: &closure.body, bound };
                        self.parents.push(arg);
                        self.visit_closure(closure, Frame::Turn(turn), From::Item(over));
                        self.parents.pop();
                    }
                    None => self.visit_expr(arg),
                },
                _ => self.visit_expr(arg),
            }
        }
    }

    fn visit_task(&mut self, arg: &'a Expr, visit: impl FnOnce(&mut Self)) {
        self.parents.push(arg);
        visit(self);
        self.parents.pop();
    }

    fn descend(&mut self, expr: &'a Expr) {
        match expr {
            Expr::ForLoop(found) => self.visit_for(found),
            Expr::While(found) => self.visit_while(found),
            Expr::Loop(found) => {
                let frame = Frame::Turn(Turn::Loop { body: &found.body, mark: self.scope.mark() });
                self.within(frame, |this| this.visit_block(&found.body));
            }
            Expr::If(found) => self.visit_if(found),
            Expr::Match(found) => self.visit_match(found),
            Expr::Let(found) => {
                self.visit_expr(&found.expr);
                self.scope.bind(&found.pat, From::Value(&found.expr));
            }
            Expr::Closure(found) => self.visit_closure(found, Frame::Later, From::Elsewhere),
            Expr::Async(found) => self.within(Frame::Later, |this| this.visit_block(&found.block)),
            // An async block that is awaited where it stands runs here and now.
            Expr::Await(found) if matches!(&*found.base, Expr::Async(_)) => {
                if let Expr::Async(inner) = &*found.base {
                    self.visit_block(&inner.block);
                }
            }
            Expr::Call(call) if !has_attribute(&call.attrs, MACRO) => {
                self.visit_expr(&call.func);
                self.visit_args(expr, call.args.iter());
            }
            Expr::MethodCall(call) => {
                self.visit_expr(&call.receiver);
                self.visit_args(expr, call.args.iter());
            }
            _ => visit::visit_expr(self, expr),
        }
    }
}

impl<'a> Visit<'a> for Walker<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        self.parents.push(expr);
        self.notes(expr);
        self.note_growth(expr);
        if self.pass == Pass::Judge {
            judge::expression(self, expr);
        }
        self.descend(expr);
        self.parents.pop();
    }

    fn visit_block(&mut self, block: &'a Block) {
        let mark = self.scope.mark();
        self.frames.push(Frame::Block { block, at: 0 });
        for (nth, stmt) in block.stmts.iter().enumerate() {
            if let Some(Frame::Block { at, .. }) = self.frames.last_mut() {
                *at = nth;
            }
            self.visit_stmt(stmt);
        }
        self.frames.pop();
        self.scope.leave(mark);
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        // What stands in a statement is no part of an expression around the block.
        let parents = std::mem::take(&mut self.parents);
        match stmt {
            Stmt::Local(local) => {
                if let Some(init) = &local.init {
                    let is_branch = has_attribute(&local.attrs, BRANCH);
                    if is_branch {
                        self.frames.push(Frame::Branch);
                    }
                    self.visit_expr(&init.expr);
                    if is_branch {
                        self.frames.pop();
                    }
                    if let Some((_, other)) = &init.diverge {
                        self.visit_expr(other);
                    }
                    self.scope.bind(&local.pat, From::Value(&init.expr));
                } else {
                    self.scope.bind(&local.pat, From::Elsewhere);
                }
            }
            _ => visit::visit_stmt(self, stmt),
        }
        self.parents = parents;
    }

    fn visit_item_static(&mut self, found: &'a syn::ItemStatic) {
        let around = self.item.replace(found.ident.to_string());
        visit::visit_item_static(self, found);
        self.item = around;
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        let is_test = crate::facts::is_test_item(&module.attrs)
            || matches!(module.ident.to_string().as_str(), "tests" | "test");
        self.modules.push(module.ident.to_string());
        if is_test && module.content.is_none() && self.pass == Pass::Collect {
            self.facts.test_modules.push(self.function_path());
        }
        self.in_test(is_test, |this| visit::visit_item_mod(this, module));
        self.modules.pop();
    }

    fn visit_item_impl(&mut self, found: &'a syn::ItemImpl) {
        let owner = type_text(&found.self_ty);
        let owner = crate::syntax::head(&owner).to_owned();
        let trait_name = found.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        let trait_name = trait_name.map(|segment| segment.ident.to_string());
        let is_test = crate::facts::is_test_item(&found.attrs);
        self.owners.push((owner, trait_name));
        self.in_test(is_test, |this| visit::visit_item_impl(this, found));
        self.owners.pop();
    }

    fn visit_item_trait(&mut self, found: &'a syn::ItemTrait) {
        self.owners.push((found.ident.to_string(), None));
        visit::visit_item_trait(self, found);
        self.owners.pop();
    }

    fn visit_item_fn(&mut self, found: &'a syn::ItemFn) {
        let is_test = crate::facts::is_test_item(&found.attrs);
        self.in_test(is_test, |this| {
            let owners = std::mem::take(&mut this.owners);
            this.function(&found.sig, &found.attrs, &found.block);
            this.owners = owners;
        });
    }

    fn visit_impl_item_fn(&mut self, found: &'a syn::ImplItemFn) {
        let is_test = crate::facts::is_test_item(&found.attrs);
        self.in_test(is_test, |this| this.function(&found.sig, &found.attrs, &found.block));
    }

    fn visit_trait_item_fn(&mut self, found: &'a syn::TraitItemFn) {
        if let Some(body) = &found.default {
            self.function(&found.sig, &found.attrs, body);
        }
    }

    fn visit_item_struct(&mut self, found: &'a syn::ItemStruct) {
        if self.pass == Pass::Collect {
            let owner = found.ident.to_string();
            for (nth, field) in found.fields.iter().enumerate() {
                let name = field.ident.as_ref().map_or_else(|| nth.to_string(), ToString::to_string);
                self.facts.fields.push((owner.clone(), name, type_text(&field.ty)));
            }
        }
        visit::visit_item_struct(self, found);
    }
}

impl Walker<'_> {
    /// The text of a node, on one line, cut where it is long.
    pub(crate) fn shown(&self, node: &impl Spanned, length_max: usize) -> String {
        let span = node.span();
        let whole = self.text_of(span).split_whitespace().collect::<Vec<_>>().join(" ");
        if whole.chars().count() <= length_max {
            return whole;
        }
        let cut: String = whole.chars().take(length_max.saturating_sub(1)).collect();
        format!("{}…", cut.trim_end())
    }

    fn text_of(&self, span: proc_macro2::Span) -> &str {
        let (start, end) = (span.start(), span.end());
        let at = |place: proc_macro2::LineColumn| {
            let line =
                self.file.lines.get(place.line.saturating_sub(1)).copied().unwrap_or(self.file.text.len());
            let rest = &self.file.text[line..];
            line + rest.char_indices().nth(place.column).map_or(rest.len(), |(at, _)| at)
        };
        let (from, to) = (at(start), at(end));
        self.file.text.get(from..to.max(from)).unwrap_or_default()
    }
}

impl<'a> Walker<'a> {
    /// Remembers what is put into a collection in a loop: `futures.push(fetch(url))`.
    fn note_growth(&mut self, expr: &'a Expr) {
        let Expr::MethodCall(call) = expr else { return };
        let method = call.method.to_string();
        if !matches!(method.as_str(), "push" | "insert" | "extend" | "push_back") {
            return;
        }
        let Some(name) = crate::syntax::variable(&call.receiver) else { return };
        let Some(put) = call.args.last() else { return };
        let handles = judge::spawn::started(self, peeled(put)).is_some();
        let origin = match self.turn() {
            Some(round) if round.bound.is_some() => round.origin.bounded("the loop"),
            Some(round) => round.origin,
            None if method == "extend" => self.origin(put),
            None => return,
        };
        self.scope.grow(&name, crate::scope::Grown { origin, handles });
    }

    /// Whether a variable holds handles of tasks.
    pub(crate) fn holds_handles(&self, name: &str) -> bool {
        let found = self.scope.find(name, usize::MAX);
        found.is_some_and(|(_, binding)| {
            binding.grown.as_ref().is_some_and(|grown| grown.handles)
                || binding.ty.as_deref().is_some_and(|ty| ty.contains("JoinHandle"))
        })
    }
}
