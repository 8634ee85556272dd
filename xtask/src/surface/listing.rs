//! Which items can be named from outside, by which path, and the line that each is shown as.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::{Attribute, Fields, Generics, ImplItem, Item, ItemImpl, TraitItem, Visibility};

use super::example;
use super::print::text;
use super::tree::{Named, Tree, attributes, ident, is_public, leaves};

/// The lines, sorted by what they are about.
pub(super) fn lines(tree: &Tree) -> Vec<String> {
    Listing::read(tree).lines.into_iter().map(|(_, line)| line).collect()
}

/// The paths of what has no example that runs. A module has its page, and fields, variants and
/// implementations are shown by their type.
pub(super) fn without_example(tree: &Tree) -> Vec<String> {
    Listing::read(tree).without_example.into_iter().collect()
}

struct Listing<'a> {
    tree: &'a Tree,
    /// The paths by which an item is reached, by its module and place.
    reached: BTreeMap<(usize, usize), BTreeSet<String>>,
    seen: BTreeSet<(usize, String)>,
    /// By path, then text.
    lines: BTreeSet<(String, String)>,
    without_example: BTreeSet<String>,
}

impl<'a> Listing<'a> {
    fn read(tree: &'a Tree) -> Self {
        let mut listing = Self {
            tree,
            reached: BTreeMap::new(),
            seen: BTreeSet::new(),
            lines: BTreeSet::new(),
            without_example: BTreeSet::new(),
        };
        listing.module(0, &tree.name);
        listing.items();
        listing.impls();
        listing
    }

    /// Finds what can be reached through the module.
    fn module(&mut self, module: usize, path: &str) {
        if !self.seen.insert((module, path.to_owned())) {
            return;
        }
        let tree = self.tree;
        let here = &tree.modules[module];
        for (place, item) in here.items.iter().enumerate().filter(|(_, item)| is_public(item)) {
            match item {
                Item::Mod(inner) if !is_hidden(&inner.attrs) => {
                    let (name, condition) = (inner.ident.to_string(), condition(&inner.attrs));
                    let inner = format!("{path}::{name}");
                    self.line(&inner, format!("{condition}pub mod {inner}"));
                    if let Some(child) = here.children.get(&name) {
                        self.module(*child, &inner);
                    }
                }
                Item::Use(item) if !is_hidden(&item.attrs) => {
                    for leaf in leaves(&item.tree) {
                        self.reexport(module, &leaf.path, leaf.name.as_deref(), path);
                    }
                }
                item => self.reach((module, place), path, ident(item).map(ToString::to_string).as_deref()),
            }
        }
    }

    fn reexport(&mut self, module: usize, leads: &[String], name: Option<&str>, path: &str) {
        let found = self.tree.resolve(module, leads);
        if found.is_empty() {
            let outside = leads.join("::");
            let (name, star) = (name.unwrap_or("*"), if name.is_none() { "::*" } else { "" });
            self.line(&format!("{path}::{name}"), format!("pub use {outside}{star} as {path}::{name}"));
        }
        for named in found {
            match (named, name) {
                (Named::Module(inner), Some(name)) => self.module(inner, &format!("{path}::{name}")),
                (Named::Module(inner), None) => self.module(inner, path),
                (Named::Item(module, place), name) => {
                    let item = &self.tree.modules[module].items[place];
                    if is_public(item) {
                        self.reach((module, place), path, name);
                    }
                }
            }
        }
    }

    fn reach(&mut self, item: (usize, usize), path: &str, name: Option<&str>) {
        let hidden = attributes(&self.tree.modules[item.0].items[item.1]).is_some_and(is_hidden);
        if let Some(name) = name.filter(|_| !hidden) {
            self.reached.entry(item).or_default().insert(format!("{path}::{name}"));
        }
    }

    /// The one path of several under which an item is shown in full: the shortest.
    fn path_of(&self, item: (usize, usize)) -> Option<String> {
        self.reached.get(&item)?.iter().min_by_key(|path| (path.matches("::").count(), *path)).cloned()
    }

    fn line(&mut self, path: &str, line: String) {
        self.lines.insert((path.to_owned(), line));
    }

    fn example(&mut self, path: &str, attributes: &[Attribute]) {
        if !is_hidden(attributes) && !example::has_one(attributes) {
            self.without_example.insert(path.to_owned());
        }
    }

    fn items(&mut self) {
        for ((module, place), paths) in self.reached.clone() {
            let Some(path) = self.path_of((module, place)) else { continue };
            for other in paths.iter().filter(|other| **other != path) {
                self.line(other, format!("pub use {path} as {other}"));
            }
            self.item(&self.tree.modules[module].items[place], &path);
        }
    }

    fn item(&mut self, item: &Item, path: &str) {
        let attrs = attributes(item).unwrap_or_default();
        self.example(path, attrs);
        let head = format!("{}{}", condition(attrs), if is_open(attrs) { "#[non_exhaustive] " } else { "" });
        match item {
            Item::Const(item) => self.line(path, format!("{head}pub const {path}: {}", text(&item.ty))),
            Item::Static(item) => self.line(path, format!("{head}pub static {path}: {}", text(&item.ty))),
            Item::Type(item) => {
                self.line(
                    path,
                    format!("{head}pub type {path}{} = {}", generics(&item.generics), text(&item.ty)),
                );
            }
            Item::Fn(item) => self.line(path, format!("{head}pub {}", function(&item.sig, path))),
            Item::Struct(item) => {
                self.line(
                    path,
                    format!("{head}pub struct {path}{}{}", generics(&item.generics), bounds(&item.generics)),
                );
                self.fields(&item.fields, path);
                self.derives(&item.attrs, path);
            }
            Item::Enum(item) => {
                self.line(
                    path,
                    format!("{head}pub enum {path}{}{}", generics(&item.generics), bounds(&item.generics)),
                );
                for variant in &item.variants {
                    let under = format!("{path}::{}", variant.ident);
                    let open = if is_open(&variant.attrs) { "#[non_exhaustive] " } else { "" };
                    self.line(&under, format!("{open}pub {under}{}", carried(&variant.fields)));
                }
                self.derives(&item.attrs, path);
            }
            Item::Trait(item) => self.a_trait(item, &head, path),
            _ => {}
        }
    }

    fn fields(&mut self, fields: &Fields, path: &str) {
        for (place, field) in fields.iter().enumerate() {
            if matches!(field.vis, Visibility::Public(_)) {
                let name = field.ident.as_ref().map_or_else(|| place.to_string(), ToString::to_string);
                let under = format!("{path}::{name}");
                self.line(&under, format!("pub {under}: {}", text(&field.ty)));
            }
        }
    }

    fn derives(&mut self, attrs: &[Attribute], path: &str) {
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("derive")) {
            let _ = attr.parse_nested_meta(|derived| {
                let of = derived.path.segments.last().map(text).unwrap_or_default();
                self.line(path, format!("impl {of} for {path}"));
                Ok(())
            });
        }
    }

    fn a_trait(&mut self, item: &syn::ItemTrait, head: &str, path: &str) {
        let supers = if item.supertraits.is_empty() {
            String::new()
        } else {
            format!(": {}", text(&item.supertraits))
        };
        let (parameters, bounds) = (generics(&item.generics), bounds(&item.generics));
        self.line(path, format!("{head}pub trait {path}{parameters}{supers}{bounds}"));
        for inner in &item.items {
            match inner {
                TraitItem::Fn(inner) => {
                    let under = format!("{path}::{}", inner.sig.ident);
                    self.example(&under, &inner.attrs);
                    let provided = if inner.default.is_some() { " { .. }" } else { "" };
                    self.line(&under, format!("pub {}{provided}", function(&inner.sig, &under)));
                }
                TraitItem::Type(inner) => {
                    let under = format!("{path}::{}", inner.ident);
                    let bounds = if inner.bounds.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", text(&inner.bounds))
                    };
                    self.line(&under, format!("pub type {under}{}{bounds}", generics(&inner.generics)));
                }
                TraitItem::Const(inner) => {
                    let under = format!("{path}::{}", inner.ident);
                    self.example(&under, &inner.attrs);
                    self.line(&under, format!("pub const {under}: {}", text(&inner.ty)));
                }
                _ => {}
            }
        }
    }

    fn impls(&mut self) {
        for (module, here) in self.tree.modules.iter().enumerate() {
            for item in &here.items {
                if let Item::Impl(item) = item {
                    self.an_impl(module, item);
                }
            }
        }
    }

    fn an_impl(&mut self, module: usize, item: &ItemImpl) {
        let path = self.named_by(module, &item.self_ty);
        match (&item.trait_, path) {
            (None, Some(Some(path))) => self.inherent(item, &path),
            (None, _) | (Some(_), Some(None)) => {}
            (Some((_, of, _)), path) => {
                let trait_path = self.resolved(module, of);
                // A trait of this crate that nobody can name is nobody's business.
                if trait_path == Some(None) {
                    return;
                }
                let (about, whom) = match (path.flatten(), trait_path.flatten()) {
                    (Some(path), _) => (path.clone(), format!("{path}{}", arguments(&item.self_ty))),
                    (None, Some(path)) => (path, text(&item.self_ty)),
                    (None, None) => return,
                };
                let types = item.items.iter().filter_map(|inner| match inner {
                    ImplItem::Type(inner) => Some(format!("type {} = {};", inner.ident, text(&inner.ty))),
                    _ => None,
                });
                let types: Vec<String> = types.collect();
                let body =
                    if types.is_empty() { String::new() } else { format!(" {{ {} }}", types.join(" ")) };
                let (parameters, bounds) = (generics(&item.generics), bounds(&item.generics));
                let of = of.segments.last().map(text).unwrap_or_default();
                let condition = condition(&item.attrs);
                self.line(&about, format!("{condition}impl{parameters} {of} for {whom}{bounds}{body}"));
            }
        }
    }

    fn inherent(&mut self, item: &ItemImpl, path: &str) {
        let given = condition(&item.attrs);
        let bounds = bounds(&item.generics);
        // Methods that only some of the type's parameters have say which.
        let of = if item.generics.params.is_empty() {
            String::new()
        } else {
            format!(" // impl{}{bounds}", generics(&item.generics))
        };
        for inner in &item.items {
            match inner {
                ImplItem::Fn(inner)
                    if matches!(inner.vis, Visibility::Public(_)) && !is_hidden(&inner.attrs) =>
                {
                    let under = format!("{path}::{}", inner.sig.ident);
                    let head = format!("{given}{}", condition(&inner.attrs));
                    self.example(&under, &inner.attrs);
                    self.line(&under, format!("{head}pub {}{of}", function(&inner.sig, &under)));
                }
                ImplItem::Const(inner) if matches!(inner.vis, Visibility::Public(_)) => {
                    let under = format!("{path}::{}", inner.ident);
                    self.example(&under, &inner.attrs);
                    self.line(&under, format!("{given}pub const {under}: {}{of}", text(&inner.ty)));
                }
                _ => {}
            }
        }
    }

    /// The public path of the crate's type that `ty` is: `Some(None)` when it is one that cannot be
    /// named from outside, `None` when it is not of this crate.
    fn named_by(&self, module: usize, ty: &syn::Type) -> Option<Option<String>> {
        match ty {
            syn::Type::Path(path) if path.qself.is_none() => self.resolved(module, &path.path),
            _ => None,
        }
    }

    fn resolved(&self, module: usize, path: &syn::Path) -> Option<Option<String>> {
        let path: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let found = self.tree.resolve(module, &path);
        let items = found.into_iter().filter_map(|named| match named {
            Named::Item(module, place) => Some((module, place)),
            Named::Module(_) => None,
        });
        let mut of_this_crate = None;
        for item in items.filter(|(module, place)| is_type(&self.tree.modules[*module].items[*place])) {
            of_this_crate = Some(self.path_of(item));
        }
        of_this_crate
    }
}

/// The arguments of a type: `<K, V>` of `a::B<K, V>`.
fn arguments(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => {
            path.path.segments.last().map(|last| text(&last.arguments)).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn is_type(item: &Item) -> bool {
    matches!(item, Item::Struct(_) | Item::Enum(_) | Item::Trait(_) | Item::Type(_) | Item::Union(_))
}

/// The signature, its name replaced by the whole path.
fn function(signature: &syn::Signature, path: &str) -> String {
    let mut signature = signature.clone();
    let bounds = bounds(&signature.generics);
    signature.generics.where_clause = None;
    for input in &mut signature.inputs {
        match input {
            syn::FnArg::Receiver(receiver) => receiver.attrs.clear(),
            syn::FnArg::Typed(typed) => {
                typed.attrs.clear();
                // Whether a parameter is `mut`, or taken apart, is the function's own affair.
                if let syn::Pat::Ident(name) = &mut *typed.pat {
                    name.mutability = None;
                }
            }
        }
    }
    if let Some(syn::FnArg::Receiver(receiver)) = signature.inputs.first_mut()
        && receiver.reference.is_none()
        && receiver.colon_token.is_none()
    {
        receiver.mutability = None;
    }
    let shown = text(&signature);
    let name = format!("fn {}", signature.ident);
    format!("{}{bounds}", shown.replacen(&name, &format!("fn {path}"), 1))
}

fn generics(generics: &Generics) -> String {
    let shown = Generics { where_clause: None, ..generics.clone() };
    text(&shown)
}

fn bounds(generics: &Generics) -> String {
    match &generics.where_clause {
        Some(clause) if !clause.predicates.is_empty() => {
            format!(" {}", text(clause.to_token_stream()).trim_end_matches(','))
        }
        _ => String::new(),
    }
}

/// What a variant carries.
fn carried(fields: &Fields) -> String {
    let mut fields = fields.clone();
    fields.iter_mut().for_each(|field| field.attrs.clear());
    match &fields {
        Fields::Named(_) => format!(" {}", text(&fields)),
        Fields::Unnamed(_) => text(&fields),
        Fields::Unit => String::new(),
    }
}

/// Under which condition it is there, as a prefix.
fn condition(attrs: &[Attribute]) -> String {
    let conditions = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    conditions.map(|attr| format!("{} ", text(attr))).collect()
}

fn is_open(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("non_exhaustive"))
}

fn is_hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("doc") && attr.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn listed(source: &str) -> Vec<String> {
        let items = syn::parse_file(source).expect("it is Rust").items;
        lines(&Tree::of("x", items, Path::new("nowhere")).expect("no file is read"))
    }

    #[test]
    fn what_cannot_be_named_from_outside_is_not_listed() {
        let listed = listed(
            "mod inner { pub struct Hidden; pub(crate) struct Ours; impl Clone for Hidden {} }
             pub(crate) fn ours() {} fn private() {} #[cfg(test)] pub mod tests {}
             #[doc(hidden)] pub fn internal() {}",
        );
        assert_eq!(listed, Vec::<String>::new());
    }

    #[test]
    fn a_reexport_is_listed_where_it_is_seen_with_its_methods() {
        let listed = listed(
            "pub mod a { mod b { #[derive(Clone)] pub struct S<T> { pub n: u64, m: T }
                 impl<T: Send> S<T> { pub fn new(mut m: T) -> Self { todo!() } fn hidden() {} }
                 impl<T> std::fmt::Debug for S<T> {} }
               pub use b::S; }
             pub use a::S as Short;",
        );
        assert_eq!(
            listed,
            [
                "impl Clone for x::Short",
                "impl<T> Debug for x::Short<T>",
                "pub struct x::Short<T>",
                "pub x::Short::n: u64",
                "pub fn x::Short::new(m: T) -> Self // impl<T: Send>",
                "pub mod x::a",
                "pub use x::Short as x::a::S",
            ]
        );
    }

    #[test]
    fn what_has_no_example_is_named_wherever_it_stands() {
        let source = "/// ```\n/// run();\n/// ```\npub struct Shown;
             impl Shown { pub fn bare(&self) {} fn private() {} pub const BARE: u8 = 1; }
             impl Clone for Shown { fn clone(&self) -> Self { Self } }
             pub trait Bare { fn inner(&self); #[doc(hidden)] fn hidden(&self); }
             pub enum E { A } mod inner { pub fn unreachable() {} pub fn reached() {} }
             pub use inner::reached;";
        let items = syn::parse_file(source).expect("it is Rust").items;
        let tree = Tree::of("x", items, Path::new("nowhere")).expect("no file is read");
        assert_eq!(
            without_example(&tree),
            ["x::Bare", "x::Bare::inner", "x::E", "x::Shown::BARE", "x::Shown::bare", "x::reached"]
        );
    }

    #[test]
    fn what_is_pin_projected_is_seen() {
        let listed = listed("pin_project_lite::pin_project! { pub struct F<T> { #[pin] pub inner: T } }");
        assert_eq!(listed, ["pub struct x::F<T>", "pub x::F::inner: T"]);
    }

    #[test]
    fn a_trait_an_enum_and_a_condition_are_shown_whole() {
        let listed = listed(
            "pub trait T: Send { type P: Clone; fn f(&self) -> Self::P; fn g(&self) {} }
             impl<X: Send> T for X { type P = u8; fn f(&self) -> u8 { 0 } }
             #[non_exhaustive] pub enum E { A, B(u8), C { n: u64 } }
             #[cfg(feature = \"cpu\")] pub const N: usize = 1;",
        );
        assert_eq!(
            listed,
            [
                "#[non_exhaustive] pub enum x::E",
                "pub x::E::A",
                "pub x::E::B(u8)",
                "pub x::E::C { n: u64 }",
                "#[cfg(feature = \"cpu\")] pub const x::N: usize",
                "impl<X: Send> T for X { type P = u8; }",
                "pub trait x::T: Send",
                "pub type x::T::P: Clone",
                "pub fn x::T::f(&self) -> Self::P",
                "pub fn x::T::g(&self) { .. }",
            ]
        );
    }
}
