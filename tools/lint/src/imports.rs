use std::collections::HashMap;

use syn::UseTree;
use syn::visit::{self, Visit};

/// What the names of a file stand for, by its `use` declarations.
#[derive(Default)]
pub(crate) struct Imports {
    paths: HashMap<String, String>,
}

impl Imports {
    /// Reads all `use` declarations of a file, those within functions included.
    pub(crate) fn of(file: &syn::File) -> Self {
        let mut imports = Self::default();
        imports.visit_file(file);
        imports
    }

    /// The path with its first part put as it was imported: `task::spawn` is `tokio::task::spawn`.
    pub(crate) fn full(&self, path: &str) -> String {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        match self.paths.get(first) {
            Some(whole) if rest.is_empty() => whole.clone(),
            Some(whole) => format!("{whole}::{rest}"),
            None => path.to_owned(),
        }
    }

    fn take(&mut self, tree: &UseTree, before: &str) {
        let joined = |name: String| if before.is_empty() { name } else { format!("{before}::{name}") };
        match tree {
            UseTree::Path(path) => self.take(&path.tree, &joined(path.ident.to_string())),
            UseTree::Name(name) if name.ident == "self" => {
                let last = before.rsplit("::").next().unwrap_or_default();
                self.paths.insert(last.to_owned(), before.to_owned());
            }
            UseTree::Name(name) => {
                self.paths.insert(name.ident.to_string(), joined(name.ident.to_string()));
            }
            UseTree::Rename(rename) => {
                let whole =
                    if rename.ident == "self" { before.to_owned() } else { joined(rename.ident.to_string()) };
                self.paths.insert(rename.rename.to_string(), whole);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.take(item, before)),
            UseTree::Glob(_) => {}
        }
    }
}

impl Visit<'_> for Imports {
    fn visit_item_use(&mut self, found: &syn::ItemUse) {
        self.take(&found.tree, "");
        visit::visit_item_use(self, found);
    }
}
