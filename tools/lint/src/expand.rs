//! Looks into macros whose bodies are code: what they hold is put in their place, so that the rest sees
//! expressions, statements and items only.
//!
//! A `select!` becomes a `match` with the attribute [`SELECT`]: each arm binds the awaited future in a
//! `let`, then does what the branch does; a `default` or `else` arm has the attribute [`DEFAULT`].

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, Attribute, Block, Expr, Item, Pat, Stmt, Token, parse_quote};

/// Marks the `match` that a `select!` has become.
pub(crate) const SELECT: &str = "plimsoll_select";
/// Marks the `let` whose future a branch of a `select!` waits for.
pub(crate) const BRANCH: &str = "plimsoll_branch";
/// Marks the arm of a `select!` that is taken when nothing is ready, or everything is over.
pub(crate) const DEFAULT: &str = "plimsoll_default";
/// Marks the call that a macro with arguments has become.
pub(crate) const MACRO: &str = "plimsoll_macro";

/// Macros within macros: each parse is of a part of the one before, so this is never reached by hand.
const WITHIN_MAX: usize = 24;

/// Puts the code that macros hold in their place.
pub(crate) fn expand(file: &mut syn::File) {
    Expand { within: 0 }.visit_file_mut(file);
}

struct Expand {
    within: usize,
}

impl VisitMut for Expand {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items = self.items(std::mem::take(&mut file.items));
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            *items = self.items(std::mem::take(items));
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if let Expr::Macro(found) = expr
            && let Some(code) = self.expression(&found.mac)
        {
            *expr = code;
            self.inside(|this| this.visit_expr_mut(expr));
            return;
        }
        visit_mut::visit_expr_mut(self, expr);
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        if let Stmt::Macro(found) = stmt
            && let Some(code) = self.expression(&found.mac)
        {
            *stmt = Stmt::Expr(code, found.semi_token);
            self.inside(|this| this.visit_stmt_mut(stmt));
            return;
        }
        visit_mut::visit_stmt_mut(self, stmt);
    }
}

impl Expand {
    fn inside(&mut self, visit: impl FnOnce(&mut Self)) {
        self.within += 1;
        visit(self);
        self.within -= 1;
    }

    fn items(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut out = Vec::with_capacity(items.len());
        for mut item in items {
            if let Item::Macro(found) = &item
                && found.ident.is_none()
                && self.within < WITHIN_MAX
                && let Some(held) = held_items(&found.mac)
            {
                self.inside(|this| out.extend(this.items(held)));
                continue;
            }
            self.visit_item_mut(&mut item);
            out.push(item);
        }
        out
    }

    fn expression(&self, found: &syn::Macro) -> Option<Expr> {
        if self.within >= WITHIN_MAX {
            return None;
        }
        let name = found.path.segments.last()?.ident.to_string();
        let tokens = &found.tokens;
        match name.as_str() {
            "select" | "select_biased" | "select_loop" => select(found).or_else(|| statements(tokens)),
            "vec" => list(found).or_else(|| arguments(found)),
            "quote" | "parse_quote" | "quote_spanned" | "macro_rules" | "json" | "html" | "sql" => None,
            "matches" | "assert_matches" => matches_test(tokens),
            _ if found.delimiter_is_brace() => statements(tokens).or_else(|| arguments(found)),
            _ => arguments(found).or_else(|| statements(tokens)),
        }
    }
}

trait Braced {
    fn delimiter_is_brace(&self) -> bool;
}

impl Braced for syn::Macro {
    fn delimiter_is_brace(&self) -> bool {
        matches!(self.delimiter, syn::MacroDelimiter::Brace(_))
    }
}

/// `cfg_rt! { items }`, `pin_project! { struct … }`, `cfg_if! { if #[cfg(…)] { items } else { items } }`.
fn held_items(found: &syn::Macro) -> Option<Vec<Item>> {
    let name = found.path.segments.last()?.ident.to_string();
    if name == "cfg_if" {
        let mut items = Vec::new();
        for token in found.tokens.clone() {
            if let TokenTree::Group(group) = token
                && group.delimiter() == Delimiter::Brace
            {
                items.extend(syn::parse2::<syn::File>(group.stream()).ok()?.items);
            }
        }
        return Some(items);
    }
    if name == "lazy_static" || name == "thread_local" || name == "macro_rules" {
        return None;
    }
    let file = syn::parse2::<syn::File>(found.tokens.clone()).ok()?;
    (!file.items.is_empty()).then_some(file.items)
}

fn matches_test(tokens: &TokenStream) -> Option<Expr> {
    let first = |input: ParseStream<'_>| {
        let value = input.parse::<Expr>()?;
        input.parse::<TokenStream>()?;
        Ok(value)
    };
    first.parse2(tokens.clone()).ok()
}

/// The expressions between the commas, `name = value` and trailing formats included.
fn expressions(tokens: &TokenStream) -> Option<Punctuated<Expr, Token![,]>> {
    Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone()).ok()
}

fn list(found: &syn::Macro) -> Option<Expr> {
    let tokens = &found.tokens;
    let bracket_token = syn::token::Bracket { span: *found.delimiter.span() };
    let repeat = |input: ParseStream<'_>| {
        let value = input.parse::<Expr>()?;
        let semi_token = input.parse::<Token![;]>()?;
        let length = input.parse::<Expr>()?;
        Ok((value, semi_token, length))
    };
    if let Ok((value, semi_token, length)) = repeat.parse2(tokens.clone()) {
        return Some(Expr::Repeat(syn::ExprRepeat {
            attrs: vec![marker(MACRO, found.path.span())],
            bracket_token,
            expr: Box::new(value),
            semi_token,
            len: Box::new(length),
        }));
    }
    let elems = expressions(tokens)?;
    Some(Expr::Array(syn::ExprArray { attrs: Vec::new(), bracket_token, elems }))
}

/// `join!(a, b)` as the call `join(a, b)`.
fn arguments(found: &syn::Macro) -> Option<Expr> {
    let args = expressions(&found.tokens)?;
    let func = Expr::Path(syn::ExprPath { attrs: Vec::new(), qself: None, path: found.path.clone() });
    let paren_token = syn::token::Paren { span: *found.delimiter.span() };
    let attrs = vec![marker(MACRO, found.path.span())];
    Some(Expr::Call(syn::ExprCall { attrs, func: Box::new(func), paren_token, args }))
}

/// `stream! { statements }` as the block.
fn statements(tokens: &TokenStream) -> Option<Expr> {
    let stmts = Block::parse_within.parse2(tokens.clone()).ok()?;
    (!stmts.is_empty()).then(|| block(stmts))
}

fn block(stmts: Vec<Stmt>) -> Expr {
    let block = Block { brace_token: syn::token::Brace::default(), stmts };
    Expr::Block(syn::ExprBlock { attrs: Vec::new(), label: None, block })
}

fn marker(name: &str, span: Span) -> Attribute {
    let ident = syn::Ident::new(name, span);
    // With the span of the macro: an attribute is where its expression begins.
    syn::parse_quote_spanned!(span=> #[#ident])
}

/// The branches of tokio's, futures' and crossbeam's `select!`.
fn select(found: &syn::Macro) -> Option<Expr> {
    let branches = |input: ParseStream<'_>| {
        if input.peek(syn::Ident) && input.peek2(Token![;]) {
            input.parse::<syn::Ident>()?; // biased;
            input.parse::<Token![;]>()?;
        }
        let mut arms = Vec::new();
        while !input.is_empty() {
            arms.push(branch(input)?);
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(arms)
    };
    let arms = branches.parse2(found.tokens.clone()).ok()?;
    let path = &found.path;
    let mut choice: syn::ExprMatch = parse_quote!(match #path {});
    choice.attrs = vec![marker(SELECT, found.path.span())];
    choice.arms = arms;
    Some(Expr::Match(choice))
}

fn branch(input: ParseStream<'_>) -> syn::Result<Arm> {
    let span = input.span();
    let mut attrs = input.call(Attribute::parse_outer)?;
    if input.peek(Token![else]) || (is_word(input, "default") || is_word(input, "complete")) {
        let taken = if input.peek(Token![else]) {
            input.parse::<Token![else]>()?;
            DEFAULT
        } else if input.parse::<syn::Ident>()? == "default" {
            DEFAULT
        } else {
            BRANCH
        };
        let waits = input.peek(syn::token::Paren);
        if waits {
            let inside;
            syn::parenthesized!(inside in input);
            inside.parse::<TokenStream>()?;
        }
        input.parse::<Token![=>]>()?;
        let body = body(input)?;
        attrs.push(marker(if waits { BRANCH } else { taken }, span));
        return Ok(arm(attrs, None, body, span));
    }
    if (is_word(input, "recv") || is_word(input, "send")) && input.peek2(syn::token::Paren) {
        // crossbeam: `recv(receiver) -> value => …`
        let word = input.parse::<syn::Ident>()?;
        let inside;
        syn::parenthesized!(inside in input);
        let args = Punctuated::<Expr, Token![,]>::parse_terminated(&inside)?;
        let pattern = if input.parse::<Option<Token![->]>>()?.is_some() {
            Pat::parse_single(input)?
        } else {
            parse_quote!(_)
        };
        input.parse::<Token![=>]>()?;
        let body = body(input)?;
        let channel = args.first().cloned().unwrap_or_else(|| parse_quote!(()));
        let bound: Stmt = parse_quote!(let #pattern = #channel.#word(););
        return Ok(arm(attrs, Some(marked(bound, span)), body, span));
    }
    let pattern = Pat::parse_multi_with_leading_vert(input)?;
    input.parse::<Token![=]>()?;
    let future = input.parse::<Expr>()?;
    if input.parse::<Option<Token![,]>>()?.is_some() {
        input.parse::<Token![if]>()?;
        input.parse::<Expr>()?;
    }
    input.parse::<Token![=>]>()?;
    let body = body(input)?;
    let mut bound: Stmt = parse_quote!(let x = #future.await;);
    if let Stmt::Local(local) = &mut bound {
        local.pat = pattern;
    }
    Ok(arm(attrs, Some(marked(bound, span)), body, span))
}

fn marked(mut bound: Stmt, span: Span) -> Stmt {
    if let Stmt::Local(local) = &mut bound {
        local.attrs.push(marker(BRANCH, span));
    }
    bound
}

fn is_word(input: ParseStream<'_>, word: &str) -> bool {
    let ahead = input.fork();
    ahead.parse::<syn::Ident>().is_ok_and(|ident| ident == word)
        && (ahead.peek(Token![=>]) || ahead.peek(syn::token::Paren))
}

fn body(input: ParseStream<'_>) -> syn::Result<Expr> {
    if input.peek(syn::token::Brace) {
        let block = input.parse::<Block>()?;
        return Ok(Expr::Block(syn::ExprBlock { attrs: Vec::new(), label: None, block }));
    }
    input.parse::<Expr>()
}

fn arm(attrs: Vec<Attribute>, bound: Option<Stmt>, body: Expr, span: Span) -> Arm {
    let mut stmts: Vec<Stmt> = bound.into_iter().collect();
    stmts.push(Stmt::Expr(body, None));
    let mut whole: Arm = parse_quote!(_ => {});
    whole.attrs = attrs;
    whole.fat_arrow_token = Token![=>](span);
    whole.body = Box::new(block(stmts));
    whole
}
