use serde::Deserialize;

use super::config::MARK;

/// A call that clippy has resolved.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResolvedCall {
    /// Relative to the root of the run, with `/` between its parts.
    pub path: String,
    /// Where the name of the callee begins.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is called, by its whole path.
    pub callee: String,
}

/// A line of cargo's JSON, as far as it is read.
#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    success: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    code: Option<Code>,
    level: String,
    message: String,
    rendered: Option<String>,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Child>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Child {
    message: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Span,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A call, the path as the compiler names it: relative to the root of the workspace.
    Call(ResolvedCall),
    /// The code does not compile.
    Error(String),
    /// How the build ended.
    Finished { success: bool },
    /// Nothing of use here.
    Other,
}

/// Reads a line; a line of another form is of no use here.
pub(super) fn read(line: &str) -> Said {
    let Ok(line) = serde_json::from_str::<Line>(line) else { return Said::Other };
    match (line.reason.as_str(), line.message) {
        ("build-finished", _) => Said::Finished { success: line.success.unwrap_or_default() },
        ("compiler-message", Some(message)) => message.said(),
        _ => Said::Other,
    }
}

impl Message {
    fn said(self) -> Said {
        let ours = self.children.iter().any(|child| child.message == MARK) || self.message.contains(MARK);
        let is_call = self.code.as_ref().is_some_and(|code| code.code == "clippy::disallowed_methods");
        if is_call && ours {
            // "use of a disallowed method `tokio::task::spawn`"
            let callee = self.message.split('`').nth(1).map(str::to_owned);
            let span = self.spans.into_iter().find(|span| span.is_primary).map(Span::outermost);
            if let (Some(callee), Some(span)) = (callee, span) {
                let Span { file_name, line_start, column_start, .. } = span;
                let path = file_name.replace('\\', "/");
                return Said::Call(ResolvedCall { path, line: line_start, column: column_start, callee });
            }
        }
        if self.level.starts_with("error") {
            return Said::Error(self.rendered.unwrap_or(self.message));
        }
        Said::Other
    }
}

impl Span {
    /// Where a macro was called, not where it is written: that is what a reader of the code sees.
    fn outermost(self) -> Self {
        let mut span = self;
        while let Some(expansion) = span.expansion {
            span = expansion.span;
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_within_a_macro_is_where_the_macro_is_called() {
        let line = serde_json::json!({
            "reason": "compiler-message",
            "message": {
                "code": { "code": "clippy::disallowed_methods", "explanation": null },
                "level": "warning",
                "message": "use of a disallowed method `tokio::task::spawn`",
                "children": [{ "message": MARK, "spans": [], "children": [], "level": "note", "code": null }],
                "spans": [{
                    "file_name": "src/macros.rs", "line_start": 3, "column_start": 9, "is_primary": true,
                    "expansion": { "span": {
                        "file_name": "src/main.rs", "line_start": 20, "column_start": 5, "is_primary": false,
                        "expansion": null,
                    } },
                }],
            },
        });
        let call = ResolvedCall {
            path: "src/main.rs".into(),
            line: 20,
            column: 5,
            callee: "tokio::task::spawn".into(),
        };
        assert_eq!(read(&line.to_string()), Said::Call(call));
    }

    #[test]
    fn what_the_user_disallows_himself_is_none_of_ours_and_noise_is_passed_over() {
        let own = r#"{"reason":"compiler-message","message":{"code":{"code":"clippy::disallowed_methods"},
            "level":"warning","message":"use of a disallowed method `std::env::var`","spans":[],"children":[]}}"#;
        assert_eq!(read(own), Said::Other);
        assert_eq!(read("warning: not JSON"), Said::Other);
        assert_eq!(read(r#"{"reason":"build-finished","success":false}"#), Said::Finished { success: false });
        let error = r#"{"reason":"compiler-message","message":{"code":null,"level":"error","message":"no","rendered":"error: no","spans":[],"children":[]}}"#;
        assert_eq!(read(error), Said::Error("error: no".into()));
    }
}
