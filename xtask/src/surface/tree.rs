//! The modules of a crate as they stand in its files, and what a path in one of them names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use syn::{Item, UseTree, Visibility};

/// Re-exports of re-exports are followed so far; more is a circle.
const HOPS_MAX: u8 = 16;

/// A crate.
pub(super) struct Tree {
    pub(super) name: String,
    /// The first is the root.
    pub(super) modules: Vec<Module>,
}

#[derive(Default)]
pub(super) struct Module {
    pub(super) items: Vec<Item>,
    pub(super) children: BTreeMap<String, usize>,
    parent: usize,
}

/// What a path names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Named {
    Module(usize),
    /// An item, by its place in its module.
    Item(usize, usize),
}

/// A leaf of a `use`: where it leads, and the name that it gives; none for a `*`.
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) name: Option<String>,
}

impl Tree {
    /// Reads the file and every file that it declares as a module; tests are left out.
    pub(super) fn read(name: &str, root: &Path) -> io::Result<Self> {
        Self::of(name, parse(root)?, root.parent().unwrap_or(Path::new(".")))
    }

    /// The crate of these items; the files of its modules are below `folder`.
    pub(super) fn of(name: &str, items: Vec<Item>, folder: &Path) -> io::Result<Self> {
        let mut tree = Self { name: name.to_owned(), modules: Vec::new() };
        tree.add(0, items, folder)?;
        Ok(tree)
    }

    fn add(&mut self, parent: usize, items: Vec<Item>, folder: &Path) -> io::Result<usize> {
        let items: Vec<Item> = items.into_iter().flat_map(unwrapped).collect();
        let index = self.modules.len();
        self.modules.push(Module { parent, ..Module::default() });
        for item in &items {
            let Item::Mod(module) = item else { continue };
            if is_test(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let folder = folder.join(&name);
            let inner = match &module.content {
                Some((_, items)) => items.clone(),
                None if folder.join("mod.rs").is_file() => parse(&folder.join("mod.rs"))?,
                None => parse(&folder.with_extension("rs"))?,
            };
            let child = self.add(index, inner, &folder)?;
            self.modules[index].children.insert(name, child);
        }
        let kept = items.into_iter().filter(|item| !attributes(item).is_some_and(is_test)).collect();
        self.modules[index].items = kept;
        Ok(index)
    }

    /// What `path` names, seen from `module`: none when it leads out of the crate. A type and a
    /// function may have one name.
    pub(super) fn resolve(&self, module: usize, path: &[String]) -> Vec<Named> {
        self.follow(module, path, HOPS_MAX)
    }

    fn follow(&self, module: usize, path: &[String], hops: u8) -> Vec<Named> {
        let Some((first, mut rest)) = path.split_first() else { return Vec::new() };
        let mut found = match first.as_str() {
            "crate" => vec![Named::Module(0)],
            "self" => vec![Named::Module(module)],
            "super" => vec![Named::Module(self.modules[module].parent)],
            name => self.lookup(module, name, hops),
        };
        while let Some((next, after)) = rest.split_first() {
            let within = found.iter().find_map(|named| match named {
                Named::Module(module) => Some(*module),
                Named::Item(..) => None,
            });
            found = match (within, next.as_str()) {
                (Some(module), "super") => vec![Named::Module(self.modules[module].parent)],
                (Some(module), name) => self.lookup(module, name, hops),
                (None, _) => Vec::new(),
            };
            rest = after;
        }
        found
    }

    fn lookup(&self, module: usize, name: &str, hops: u8) -> Vec<Named> {
        let here = &self.modules[module];
        let mut found: Vec<Named> =
            here.children.get(name).map(|child| Named::Module(*child)).into_iter().collect();
        for (place, item) in here.items.iter().enumerate() {
            if ident(item).is_some_and(|ident| ident == name) {
                found.push(Named::Item(module, place));
            }
        }
        if !found.is_empty() || hops == 0 {
            return found;
        }
        for item in &here.items {
            let Item::Use(item) = item else { continue };
            for leaf in leaves(&item.tree) {
                match &leaf.name {
                    Some(given) if given == name => {
                        found.extend(self.follow(module, &leaf.path, hops - 1));
                    }
                    None => {
                        let inner: Vec<String> = leaf.path.iter().cloned().chain([name.to_owned()]).collect();
                        found.extend(self.follow(module, &inner, hops - 1));
                    }
                    Some(_) => {}
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// What stands inside of a `pin_project!`, which leaves its items as they are; other items themselves.
fn unwrapped(item: Item) -> Vec<Item> {
    match &item {
        Item::Macro(made)
            if made.mac.path.segments.last().is_some_and(|last| last.ident == "pin_project") =>
        {
            made.mac.parse_body().map_or_else(|_| vec![item.clone()], |file: syn::File| file.items)
        }
        _ => vec![item],
    }
}

/// The leaves of a `use`.
pub(super) fn leaves(tree: &UseTree) -> Vec<Leaf> {
    fn walk(tree: &UseTree, path: &[String], leaves: &mut Vec<Leaf>) {
        let under = |name: &syn::Ident| path.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(step) => walk(&step.tree, &under(&step.ident), leaves),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, path, leaves)),
            UseTree::Glob(_) => leaves.push(Leaf { path: path.to_vec(), name: None }),
            // `use a::{self}` gives the name of what it is in.
            UseTree::Name(name) if name.ident == "self" => {
                leaves.push(Leaf { path: path.to_vec(), name: path.last().cloned() });
            }
            UseTree::Name(name) => {
                leaves.push(Leaf { path: under(&name.ident), name: Some(name.ident.to_string()) });
            }
            UseTree::Rename(rename) => {
                leaves.push(Leaf { path: under(&rename.ident), name: Some(rename.rename.to_string()) });
            }
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// The name of what can be named; none for an `impl`, a `use`, a module.
pub(super) fn ident(item: &Item) -> Option<&syn::Ident> {
    Some(match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    })
}

/// Whether the item says `pub`, and no more.
pub(super) fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => return false,
    };
    matches!(visibility, Visibility::Public(_))
}

pub(super) fn attributes(item: &Item) -> Option<&[syn::Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

/// Whether it is compiled for tests alone.
pub(super) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

fn parse(path: &Path) -> io::Result<Vec<Item>> {
    let source = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let file = syn::parse_file(&source).map_err(|error| {
        io::Error::other(format!("{}:{}: {error}", path.display(), error.span().start().line))
    })?;
    Ok(file.items)
}
