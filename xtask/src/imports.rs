//! Which modules and crates a source file names: a scan of the text, not of the language.
//!
//! It finds `crate::x` and `x::` in code and in `use`, groups (`use crate::{a, b::c}`) included. It
//! does not see through `use … as`, re-exports, macros or `super::`; it looks away in comments and
//! from `#[cfg(test)]` on, since tests stand last in a file and may name more. Good enough to
//! catch the import somebody writes without thinking, which is what it is for.

/// The lines on which `source` names `what`: a sibling module written `crate::x`, or a crate `x`.
pub(crate) fn lines_naming(source: &str, what: &str) -> Vec<usize> {
    let code = code_of(source);
    let sibling = what.strip_prefix("crate::");
    let mut lines: Vec<usize> = match sibling {
        Some(module) => occurrences(&code, what)
            .filter(|&at| !is_path_before(&code, at))
            .chain(in_groups(&code, "crate::{", module))
            .map(|at| line_of(&code, at))
            .collect(),
        None => occurrences(&code, what)
            .filter(|&at| !is_path_before(&code, at) && is_path_after(&code, at + what.len()))
            .map(|at| line_of(&code, at))
            .collect(),
    };
    lines.dedup();
    lines
}

/// The code without comments and tests; every line keeps its number.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        // A `//` in a string cuts the line short: no matter, an import is not in a string.
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// Where `word` stands on its own, not as a part of a longer identifier.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
    })
}

/// Where the group that opens with `open` names `module` at its first level.
fn in_groups<'a>(code: &'a str, open: &'a str, module: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(open).filter_map(move |(at, _)| {
        let mut depth = 0_usize;
        let mut first = true;
        let start = at + open.len();
        for (offset, letter) in code[start..].char_indices() {
            let here = &code[start + offset..];
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => return None,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                _ if letter.is_whitespace() => {}
                _ if first && depth == 0 => {
                    first = false;
                    let rest = here.strip_prefix(module);
                    if rest.is_some_and(|rest| !rest.starts_with(is_identifier)) {
                        return Some(start + offset);
                    }
                }
                _ => {}
            }
        }
        None
    })
}

fn is_identifier(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether what starts at `at` is the continuation of a path.
fn is_path_before(code: &str, at: usize) -> bool {
    // `::http::x` names the crate; `a::http::x` does not.
    code[..at].strip_suffix("::").is_some_and(|before| before.chars().next_back().is_some_and(is_identifier))
}

/// Whether a path goes on at `at`, or a `use` of the bare name ends there.
fn is_path_after(code: &str, at: usize) -> bool {
    let rest = &code[at..];
    let line_start = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
    rest.starts_with("::") || (rest.starts_with(';') && code[line_start..at].contains("use "))
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_is_found_in_use_in_code_and_in_groups() {
        let source = "use crate::state::State;\nuse crate::{Name, state};\nfn f() { crate::state::g() }\n\
                      use crate::{\n    a::{state, b},\n    state::X,\n};\n";
        assert_eq!(lines_naming(source, "crate::state"), [1, 3, 2, 6]);
    }

    #[test]
    fn what_only_looks_like_it_is_not_taken_for_it() {
        let source = "use crate::statement;\nuse crate::{a::{state}, statement};\n// crate::state\n\
                      /// [`crate::state`]\nuse other_crate::state;\n";
        assert_eq!(lines_naming(source, "crate::state"), Vec::<usize>::new());
        let source = "use http_body::Body;\nuse crate::http::x;\nlet http = 1;\n//! http::y\n";
        assert_eq!(lines_naming(source, "http"), Vec::<usize>::new());
    }

    #[test]
    fn a_crate_is_found_by_its_path() {
        assert_eq!(
            lines_naming("use http::Uri;\nuse ::http;\nuse http;\nfn f(x: http::Uri) {}\n", "http"),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn tests_may_name_more() {
        let source = "use a::b;\n#[cfg(test)]\nmod tests {\n    use http::Uri;\n}\n";
        assert_eq!(lines_naming(source, "http"), Vec::<usize>::new());
    }
}
