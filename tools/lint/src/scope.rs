use syn::{Expr, Pat};

use crate::origin::Origin;
use crate::syntax::{bound_names, type_text};

/// The variables that are bound at a place, the innermost last.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    bindings: Vec<Binding<'a>>,
}

/// A variable.
pub(crate) struct Binding<'a> {
    pub(crate) name: String,
    pub(crate) from: From<'a>,
    /// Its type where it is written, compact and without references.
    pub(crate) ty: Option<String>,
    /// What it was filled with, one for each turn of a loop.
    pub(crate) grown: Option<Grown>,
}

/// What a collection was filled with.
#[derive(Clone)]
pub(crate) struct Grown {
    pub(crate) origin: Origin,
    /// Whether what was put in are handles of tasks.
    pub(crate) handles: bool,
}

/// What a variable was bound to.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    /// The value of an expression, or a part of it.
    Value(&'a Expr),
    /// One item after the other of what an expression yields.
    Item(&'a Expr),
    /// The parameter of the function with this number.
    Param(usize),
    /// It cannot be told.
    Elsewhere,
}

impl<'a> Scope<'a> {
    /// How many variables are bound: to come back to with [`leave`](Self::leave).
    pub(crate) fn mark(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets what was bound since a mark.
    pub(crate) fn leave(&mut self, mark: usize) {
        self.bindings.truncate(mark);
    }

    /// Binds the names of a pattern.
    pub(crate) fn bind(&mut self, pat: &Pat, from: From<'a>) {
        let ty = match pat {
            Pat::Type(typed) => Some(type_text(&typed.ty)),
            _ => None,
        };
        for name in bound_names(pat) {
            self.bindings.push(Binding { name, from, ty: ty.clone(), grown: None });
        }
    }

    /// Binds a parameter.
    pub(crate) fn bind_param(&mut self, name: &str, ty: &str, nth: usize) {
        self.bindings.push(Binding {
            name: name.to_owned(),
            from: From::Param(nth),
            ty: Some(ty.to_owned()),
            grown: None,
        });
    }

    /// The variable of a name among the first `upto`, and how many stand before it.
    pub(crate) fn find(&self, name: &str, upto: usize) -> Option<(usize, &Binding<'a>)> {
        let upto = upto.min(self.bindings.len());
        self.bindings[..upto].iter().enumerate().rev().find(|(_, binding)| binding.name == name)
    }
}

impl<'a> Scope<'a> {
    /// The name of a variable that was bound to a value, and the value.
    pub(crate) fn value(&self, nth: usize) -> Option<(&str, &'a Expr)> {
        match self.bindings.get(nth) {
            Some(Binding { name, from: From::Value(value) | From::Item(value), .. }) => Some((name, value)),
            _ => None,
        }
    }

    /// The name of a variable that stands for one item after the other.
    pub(crate) fn item(&self, nth: usize) -> Option<&str> {
        match self.bindings.get(nth) {
            Some(Binding { name, from: From::Item(_), .. }) => Some(name),
            _ => None,
        }
    }
}

impl Scope<'_> {
    /// Remembers what a variable was filled with.
    pub(crate) fn grow(&mut self, name: &str, grown: Grown) {
        if let Some(binding) = self.bindings.iter_mut().rev().find(|binding| binding.name == name) {
            let more =
                binding.grown.as_ref().is_none_or(|before| grown.origin.source >= before.origin.source);
            let handles = grown.handles || binding.grown.as_ref().is_some_and(|before| before.handles);
            if more {
                binding.grown = Some(Grown { handles, ..grown });
            }
        }
    }
}
