use std::collections::HashMap;

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath, Ident, Path, PathSegment};

use super::message::ResolvedCall;
use crate::finding::Position;

/// What clippy has resolved, by file and place.
#[derive(Clone, Default, Debug)]
pub struct ResolvedCalls {
    files: HashMap<String, HashMap<Position, String>>,
}

impl ResolvedCalls {
    /// Puts whole paths where clippy knows them, so that the rules see what the types say. What stands
    /// there instead keeps its place.
    pub(crate) fn put_into(&self, path: &str, tree: &mut syn::File) {
        if let Some(calls) = self.files.get(path) {
            Put { calls }.visit_file_mut(tree);
        }
    }
}

impl FromIterator<ResolvedCall> for ResolvedCalls {
    fn from_iter<Calls: IntoIterator<Item = ResolvedCall>>(calls: Calls) -> Self {
        let mut files: HashMap<String, HashMap<Position, String>> = HashMap::new();
        for ResolvedCall { path, line, column, callee } in calls {
            files.entry(path).or_default().insert(Position { line, column }, callee);
        }
        Self { files }
    }
}

struct Put<'a> {
    calls: &'a HashMap<Position, String>,
}

impl Put<'_> {
    fn at(&self, span: Span) -> Option<&str> {
        let start = span.start();
        let position = Position { line: start.line, column: start.column + 1 };
        self.calls.get(&position).map(String::as_str)
    }
}

impl VisitMut for Put<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if let Expr::MethodCall(call) = expr
            && let Some(function) = self.at(call.method.span()).and_then(as_function)
        {
            *expr = Expr::Call(as_call(call, function));
        }
        visit_mut::visit_expr_mut(self, expr);
    }

    fn visit_expr_path_mut(&mut self, found: &mut ExprPath) {
        if let Some(callee) = self.at(found.span())
            && found.qself.is_none()
        {
            found.path = whole(callee, found.span());
        }
    }
}

/// The function that does what a method does, where the rules know the method only by its receiver.
fn as_function(method: &str) -> Option<&'static str> {
    match method {
        "tokio::runtime::Handle::spawn" | "tokio::runtime::Runtime::spawn" => Some("tokio::task::spawn"),
        "tokio::runtime::Handle::spawn_blocking" => Some("tokio::task::spawn_blocking"),
        "tokio::task::LocalSet::spawn_local" => Some("tokio::task::spawn_local"),
        _ => None,
    }
}

fn as_call(call: &mut ExprMethodCall, function: &str) -> ExprCall {
    let path = whole(function, call.receiver.span());
    let func = Expr::Path(ExprPath { attrs: Vec::new(), qself: None, path });
    let args = std::mem::take(&mut call.args);
    let attrs = std::mem::take(&mut call.attrs);
    ExprCall { attrs, func: Box::new(func), paren_token: call.paren_token, args }
}

/// A path whose every part is at one place.
fn whole(path: &str, span: Span) -> Path {
    let parts = path.split("::").map(|part| PathSegment::from(Ident::new(part, span)));
    Path { leading_colon: None, segments: parts.collect::<Punctuated<_, _>>() }
}

#[cfg(test)]
mod tests {
    use quote::ToTokens as _;

    use super::*;

    fn put(text: &str, line: usize, column: usize, callee: &str) -> String {
        let call = ResolvedCall { path: "a.rs".into(), line, column, callee: callee.into() };
        let mut tree = syn::parse_file(text).unwrap();
        ResolvedCalls::from_iter([call]).put_into("a.rs", &mut tree);
        tree.to_token_stream().to_string()
    }

    #[test]
    fn a_name_becomes_what_it_stands_for_and_nothing_else_changes() {
        let text = "fn f() { start(one()); start(two()); }";
        let expected = "fn f () { tokio :: task :: spawn (one ()) ; start (two ()) ; }";
        assert_eq!(put(text, 1, 10, "tokio::task::spawn"), expected);
        assert_eq!(put(text, 1, 11, "tokio::task::spawn"), "fn f () { start (one ()) ; start (two ()) ; }");
    }

    #[test]
    fn a_method_of_a_handle_becomes_the_function_at_the_place_of_its_receiver() {
        let text = "fn f() { self.inner.spawn(one()); }";
        let expected = "fn f () { tokio :: task :: spawn (one ()) ; }";
        assert_eq!(put(text, 1, 21, "tokio::runtime::Handle::spawn"), expected);
    }

    #[test]
    fn a_macro_that_was_looked_into_is_resolved_where_it_is_called() {
        let mut tree = syn::parse_file("fn f() { start!(one()); }").unwrap();
        crate::expand::expand(&mut tree);
        let call =
            ResolvedCall { path: "a.rs".into(), line: 1, column: 10, callee: "tokio::task::spawn".into() };
        ResolvedCalls::from_iter([call]).put_into("a.rs", &mut tree);
        assert!(tree.to_token_stream().to_string().contains("tokio :: task :: spawn (one ())"));
    }
}
