use std::collections::{HashMap, HashSet};

use crate::facts::calls::CallFacts;
use crate::facts::function::{FunctionFacts, Role};
use crate::origin::Origin;

/// Calls of one function that are remembered: who is called more often is judged by the first ones.
const CALLS_MAX: usize = 32;

/// How far from a handler a function still counts as being on the path of a request.
const PATH_CALLS_MAX: usize = 4;

/// Names that say nothing about what is called.
const COMMON: &[&str] = &[
    "new", "default", "clone", "get", "set", "insert", "remove", "push", "send", "recv", "next", "poll",
    "from", "into", "len", "iter", "run", "start", "spawn", "build", "drop", "fmt", "eq", "write", "read",
    "close", "flush", "update", "load", "store", "lock", "map", "call", "connect", "shutdown", "stop", "add",
    "take",
];

/// What one file tells about its crate.
#[derive(Default)]
pub(crate) struct FileFacts {
    pub(crate) functions: Vec<FunctionFacts>,
    /// Type, field, type of the field.
    pub(crate) fields: Vec<(String, String, String)>,
    pub(crate) calls: Vec<CallFacts>,
    /// Functions that are named in a router.
    pub(crate) routed: Vec<String>,
    /// Whether a time-out is put around calls, or on requests.
    pub(crate) times_out: bool,
    /// The names of what permits are added to, or what is closed.
    pub(crate) refilled: Vec<String>,
    /// Modules in files of their own that are declared as tests.
    pub(crate) test_modules: Vec<String>,
}

/// What is known of a crate.
#[derive(Default)]
pub(crate) struct CrateFacts {
    functions: HashMap<String, Vec<FunctionFacts>>,
    fields: HashMap<String, HashMap<String, String>>,
    field_types: HashMap<String, HashSet<String>>,
    calls: HashMap<String, Vec<CallFacts>>,
    routed: HashSet<String>,
    on_request: HashSet<(String, String)>,
    refilled: HashSet<String>,
    test_modules: HashSet<String>,
    /// Whether a time-out is put around calls, or on requests, anywhere in it.
    pub(crate) times_out: bool,
}

impl CrateFacts {
    /// Adds what a file tells.
    pub(crate) fn add(&mut self, file: FileFacts) {
        for function in file.functions {
            self.functions.entry(function.name.clone()).or_default().push(function);
        }
        for (owner, field, ty) in file.fields {
            self.field_types.entry(field.clone()).or_default().insert(ty.clone());
            self.fields.entry(owner).or_default().insert(field, ty);
        }
        for call in file.calls {
            let calls = self.calls.entry(call.name.clone()).or_default();
            if calls.len() < CALLS_MAX {
                calls.push(call);
            }
        }
        self.routed.extend(file.routed);
        self.refilled.extend(file.refilled);
        self.test_modules.extend(file.test_modules);
        self.times_out |= file.times_out;
    }

    /// Finds what is on the path of a request, when all files are added.
    pub(crate) fn settle(&mut self) {
        let handlers = self.functions.values().flatten().filter(|function| {
            function.role == Role::Handler
                || (function.role != Role::Test && self.routed.contains(&function.name))
        });
        let mut frontier: Vec<&FunctionFacts> = handlers.collect();
        let mut reached: HashSet<(String, String)> = frontier.iter().map(|function| key(function)).collect();
        for _ in 0..PATH_CALLS_MAX {
            let mut next = Vec::new();
            for caller in frontier {
                for name in &caller.calls {
                    next.extend(self.called(name, &caller.owner));
                }
            }
            next.retain(|function| function.role != Role::Test && reached.insert(key(function)));
            frontier = next;
        }
        self.on_request = reached;
    }

    /// The functions that a name may mean, if it means few.
    fn called(&self, name: &str, owner: &str) -> Vec<&FunctionFacts> {
        let (own, name) = name.strip_prefix('.').map_or((false, name), |name| (true, name));
        let Some(found) = self.functions.get(name) else { return Vec::new() };
        if own && let Some(method) = found.iter().find(|function| function.owner == owner) {
            return vec![method];
        }
        if found.len() > 1 || COMMON.contains(&name) { Vec::new() } else { found.iter().collect() }
    }

    /// Whether a function answers requests, or is called by what does.
    pub(crate) fn is_on_request(&self, owner: &str, name: &str) -> bool {
        self.on_request.contains(&(owner.to_owned(), name.to_owned()))
    }

    /// Whether a module, or one around it, is declared as a test by the file above it.
    pub(crate) fn is_test_module(&self, module: &str) -> bool {
        let ends = module.match_indices("::").map(|(at, _)| at).chain([module.len()]);
        ends.into_iter().any(|end| self.test_modules.contains(&module[..end]))
    }

    /// The only function of a name.
    pub(crate) fn function(&self, name: &str) -> Option<&FunctionFacts> {
        match self.functions.get(name).map(Vec::as_slice) {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// The type of a field: of this type, or of the only field of that name.
    pub(crate) fn field(&self, owner: &str, field: &str) -> Option<&str> {
        if let Some(ty) = self.fields.get(owner).and_then(|fields| fields.get(field)) {
            return Some(ty);
        }
        self.any_field(field)
    }

    /// The type of the fields of that name, if all have the same.
    pub(crate) fn any_field(&self, field: &str) -> Option<&str> {
        let types = self.field_types.get(field)?;
        if types.len() == 1 { types.iter().next().map(String::as_str) } else { None }
    }

    /// Whether permits are added to what is called so, or it is closed.
    pub(crate) fn is_refilled(&self, name: &str) -> bool {
        self.refilled.contains(name)
    }

    /// Where the argument of a function comes from, by its callers in this crate outside of tests.
    pub(crate) fn argument(&self, owner: &str, function: &str, nth: usize) -> Option<Origin> {
        let unique = self.functions.get(function).is_some_and(|found| found.len() == 1);
        if !unique || (owner.is_empty() && COMMON.contains(&function)) || COMMON.contains(&function) {
            return None;
        }
        let calls = self.calls.get(function)?.iter().filter(|call| !call.in_test);
        calls.filter_map(|call| call.arguments.get(nth).cloned()).max_by_key(|origin| origin.source)
    }

    /// What the loops go over in which a function is called, by its callers outside of tests.
    pub(crate) fn each(&self, function: &str) -> Option<&Origin> {
        let unique = self.functions.get(function).is_some_and(|found| found.len() == 1);
        if !unique || COMMON.contains(&function) {
            return None;
        }
        let calls = self.calls.get(function)?.iter().filter(|call| !call.in_test);
        calls.filter_map(|call| call.each.as_ref()).max_by_key(|origin| origin.source)
    }
}

fn key(function: &FunctionFacts) -> (String, String) {
    (function.owner.clone(), function.name.clone())
}
