use syn::{Attribute, Signature};

use crate::syntax::{bound_names, has_word, head, type_text, words};

/// A function as its callers see it.
#[derive(Clone, Debug)]
pub(crate) struct FunctionFacts {
    /// The type that it is a method of; empty for none.
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) returns: String,
    pub(crate) role: Role,
    /// What it calls in this crate, by name; methods of `self` with a `.` before.
    pub(crate) calls: Vec<String>,
}

/// What a function is for, as far as its head tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// It answers a request, a message or a connection.
    Handler,
    /// It is run once, when something begins.
    StartUp,
    /// Neither can be told.
    Plain,
    Test,
}

/// Types that only a handler takes, by the last part of their path.
const REQUESTS: &[&str] = &[
    "Json",
    "Query",
    "Form",
    "Multipart",
    "HttpRequest",
    "Request",
    "WebSocketUpgrade",
    "TypedHeader",
    "Streaming",
    "TcpStream",
    "UnixStream",
    "WebSocket",
    "Payload",
    "ServerRequest",
    "RequestStream",
];

/// Attributes that make a function a route.
const ROUTES: &[&str] =
    &["get", "post", "put", "delete", "patch", "route", "debug_handler", "handler", "endpoint"];

/// Words at the beginning of the name of what is run when something begins.
const BEGINNINGS: &[&str] = &[
    "main",
    "new",
    "start",
    "init",
    "setup",
    "spawn",
    "launch",
    "build",
    "bootstrap",
    "run",
    "serve",
    "try",
    "install",
    "initialize",
    "create",
    "open",
    "with",
    "from",
    "boot",
];

/// What the head of a function tells it is for.
pub(crate) fn role_of(signature: &Signature, attrs: &[Attribute], trait_name: Option<&str>) -> Role {
    if is_test(attrs) {
        return Role::Test;
    }
    let name = signature.ident.to_string();
    if name == "main" {
        return Role::StartUp;
    }
    let routed = attrs.iter().any(|attr| {
        let last = attr.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        ROUTES.contains(&last.as_str())
    });
    let first = words(&name).into_iter().next().unwrap_or_default();
    let handles = matches!(first.as_str(), "handle" | "on" | "process" | "dispatch" | "answer" | "respond");
    let params = params(signature);
    let extracts = params.iter().any(|(_, ty)| is_extractor(ty));
    let asked = params.iter().any(|(_, ty)| is_request(ty, handles));
    if routed
        || extracts
        || (asked && !is_outbound(&name))
        || (name == "call" && trait_name == Some("Service"))
    {
        return Role::Handler;
    }
    if handles && has_word(&name, &["connection", "conn", "request", "client", "stream", "incoming", "peer"])
    {
        return Role::Handler;
    }
    if BEGINNINGS.contains(&first.as_str()) { Role::StartUp } else { Role::Plain }
}

/// Who asks rather than answers takes requests too.
fn is_outbound(name: &str) -> bool {
    has_word(
        name,
        &["send", "connect", "request", "fetch", "execute", "forward", "publish", "new", "start", "client"],
    )
}

/// Whether a type takes a request apart: only a handler has such a parameter.
fn is_extractor(ty: &str) -> bool {
    let head = head(ty);
    matches!(
        head,
        "Json" | "Query" | "Form" | "Multipart" | "HttpRequest" | "TypedHeader" | "WebSocketUpgrade"
    ) || (matches!(head, "Path" | "State") && ty.contains('<'))
}

fn is_request(ty: &str, handles: bool) -> bool {
    let head = head(ty);
    if REQUESTS.contains(&head) || (head == "Path" && ty.contains('<')) {
        return true;
    }
    let last = words(head).pop().unwrap_or_default();
    handles && matches!(last.as_str(), "request" | "req" | "message" | "msg" | "packet" | "frame" | "query")
}

/// Whether attributes make an item a test.
pub(crate) fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let Some(last) = attr.path().segments.last() else { return false };
        let name = last.ident.to_string();
        matches!(
            name.as_str(),
            "test" | "rstest" | "bench" | "quickcheck" | "test_case" | "proptest" | "wasm_bindgen_test"
        ) || name.ends_with("_test")
            || (name == "cfg" && is_cfg_test(attr))
    })
}

fn is_cfg_test(attr: &Attribute) -> bool {
    let syn::Meta::List(list) = &attr.meta else { return false };
    let text = list.tokens.to_string();
    !text.contains("not (test")
        && !text.contains("not(test")
        && text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|word| {
            matches!(
                word,
                "test" | "testing" | "test-utils" | "test_utils" | "test-helpers" | "bench" | "test-util"
            )
        })
}

/// The parameters of a function: name and type, `self` left out.
pub(crate) fn params(signature: &Signature) -> Vec<(String, String)> {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        syn::FnArg::Typed(typed) => {
            let name = bound_names(&typed.pat).into_iter().next().unwrap_or_default();
            Some((name, type_text(&typed.ty)))
        }
        syn::FnArg::Receiver(_) => None,
    });
    typed.collect()
}

/// The type that a function returns, compact; empty for none.
pub(crate) fn returned(signature: &Signature) -> String {
    match &signature.output {
        syn::ReturnType::Default => String::new(),
        syn::ReturnType::Type(_, ty) => type_text(ty),
    }
}

impl FunctionFacts {
    /// What a function's head tells.
    pub(crate) fn of(signature: &Signature, role: Role, owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            name: signature.ident.to_string(),
            params: params(signature),
            returns: returned(signature),
            role,
            calls: Vec::new(),
        }
    }
}
