//! Small questions to a syntax tree.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, Pat, Stmt, Type};

/// An expression without what does not change where its value comes from: parentheses, references,
/// `?`, `.await`, dereferences and casts.
pub(crate) fn peeled(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => peeled(&inner.expr),
        Expr::Group(inner) => peeled(&inner.expr),
        Expr::Reference(inner) => peeled(&inner.expr),
        Expr::Try(inner) => peeled(&inner.expr),
        Expr::Await(inner) => peeled(&inner.base),
        Expr::Unary(inner) if matches!(inner.op, syn::UnOp::Deref(_)) => peeled(&inner.expr),
        Expr::Cast(inner) => peeled(&inner.expr),
        Expr::Block(inner) if inner.block.stmts.len() == 1 => match &inner.block.stmts[0] {
            Stmt::Expr(only, None) => peeled(only),
            _ => expr,
        },
        _ => expr,
    }
}

/// The name of a plain variable.
pub(crate) fn variable(expr: &Expr) -> Option<String> {
    match peeled(expr) {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

/// `a::b::c`, without generic arguments.
pub(crate) fn path_text(path: &syn::Path) -> String {
    let parts = path.segments.iter().map(|segment| segment.ident.to_string());
    parts.collect::<Vec<_>>().join("::")
}

/// The last name of an expression: of a field, a variable, or what a call returns.
pub(crate) fn last_name(expr: &Expr) -> String {
    match peeled(expr) {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(_) => last_name(&field.base),
        },
        Expr::MethodCall(call)
            if matches!(call.method.to_string().as_str(), "clone" | "as_ref" | "unwrap" | "expect") =>
        {
            last_name(&call.receiver)
        }
        Expr::MethodCall(call) => call.method.to_string(),
        Expr::Call(call) => last_name(&call.func),
        Expr::Index(index) => last_name(&index.expr),
        _ => String::new(),
    }
}

/// The path that a call calls.
pub(crate) fn callee(call: &syn::ExprCall) -> Option<&syn::Path> {
    match &*call.func {
        Expr::Path(path) => Some(&path.path),
        Expr::Paren(inner) => match &*inner.expr {
            Expr::Path(path) => Some(&path.path),
            _ => None,
        },
        _ => None,
    }
}

/// The tokens of something, with no blanks: types are compared so.
pub(crate) fn compact(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    text.retain(|c| !c.is_whitespace());
    text
}

/// The type without references and lifetimes, compact.
pub(crate) fn type_text(ty: &Type) -> String {
    match ty {
        Type::Reference(inner) => type_text(&inner.elem),
        Type::Paren(inner) => type_text(&inner.elem),
        Type::Group(inner) => type_text(&inner.elem),
        _ => compact(ty),
    }
}

/// The last part of the path of a type, without what is in its brackets: `Receiver` of
/// `mpsc::Receiver<Job>`; what is in `Arc`, `Box`, `Option`, `Pin` and `&mut` counts as itself.
pub(crate) fn head(ty: &str) -> &str {
    let ty = ty.trim_start_matches("dyn").trim_start_matches("mut");
    let open = ty.find('<').unwrap_or(ty.len());
    let name = ty[..open].rsplit("::").next().unwrap_or_default();
    if matches!(name, "Arc" | "Rc" | "Box" | "Option" | "Pin" | "ReloadGuard") && open < ty.len() {
        return head(ty[open + 1..].trim_start_matches('&').trim_end_matches('>'));
    }
    name
}

/// Whether attributes hold one whose last word is this.
pub(crate) fn has_attribute(attrs: &[Attribute], name: &str) -> bool {
    attrs.iter().any(|attr| attr.path().segments.last().is_some_and(|last| last.ident == name))
}

/// The names that a pattern binds.
pub(crate) fn bound_names(pat: &Pat) -> Vec<String> {
    struct Names(Vec<String>);
    impl Visit<'_> for Names {
        fn visit_pat_ident(&mut self, found: &syn::PatIdent) {
            let name = found.ident.to_string();
            // `None` and constants are no bindings.
            if name.starts_with(|c: char| c.is_lowercase() || c == '_') {
                self.0.push(name);
            }
            visit::visit_pat_ident(self, found);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_pat(pat);
    names.0
}

/// How far a search goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What runs here and now: not into closures and async blocks.
    Now,
    /// All that is written here.
    All,
}

/// Whether any expression within satisfies a question.
pub(crate) fn any<'a>(within: Within<'a>, reach: Reach, question: impl FnMut(&'a Expr) -> bool) -> bool {
    struct Search<F> {
        question: F,
        reach: Reach,
        found: bool,
    }
    impl<'a, F: FnMut(&'a Expr) -> bool> Visit<'a> for Search<F> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            if self.found {
                return;
            }
            if (self.question)(expr) {
                self.found = true;
                return;
            }
            if self.reach == Reach::Now && matches!(expr, Expr::Async(_) | Expr::Closure(_)) {
                return;
            }
            visit::visit_expr(self, expr);
        }
        fn visit_item(&mut self, _: &'a syn::Item) {}
    }
    let mut search = Search { question, reach, found: false };
    match within {
        Within::Block(block) => search.visit_block(block),
        Within::Expr(expr) => search.visit_expr(expr),
        Within::Stmts(stmts) => stmts.iter().for_each(|stmt| search.visit_stmt(stmt)),
    }
    search.found
}

/// Where a search begins.
#[derive(Clone, Copy)]
pub(crate) enum Within<'a> {
    /// In a block.
    Block(&'a Block),
    /// At an expression, itself included.
    Expr(&'a Expr),
    /// In some statements.
    Stmts(&'a [Stmt]),
}

/// Whether a variable of this name is mentioned.
pub(crate) fn mentions(within: Within<'_>, name: &str) -> bool {
    any(within, Reach::All, |expr| is_variable(expr, name)) || named_in_macro(within, name)
}

fn is_variable(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Path(path) if path.path.is_ident(name))
}

/// A macro whose body was not understood mentions whatever its tokens name.
fn named_in_macro(within: Within<'_>, name: &str) -> bool {
    any(within, Reach::All, |expr| match expr {
        Expr::Macro(found) => names(&found.mac.tokens, name),
        _ => false,
    })
}

fn names(tokens: &proc_macro2::TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => ident == name,
        proc_macro2::TokenTree::Group(group) => names(&group.stream(), name),
        _ => false,
    })
}

/// The words of a name: `max_conns` and `MaxConns` are `max`, `conns`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a name has one of these words.
pub(crate) fn has_word(name: &str, wanted: &[&str]) -> bool {
    words(name).iter().any(|word| wanted.contains(&word.as_str()))
}
