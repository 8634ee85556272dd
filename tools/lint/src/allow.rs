//! `// plimsoll: allow(rule) reason`, at the end of a line or on the lines above it.

use std::str::FromStr;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use crate::finding::{Finding, Place, Position, Rank, Source};
use crate::lint::Held;
use crate::rule::Rule;

/// What stands before the bracket.
const MARK: &str = "// plimsoll: allow(";

/// Allowances of one file that are read: more are not written by hand.
const ALLOWS_MAX: usize = 1_000;

/// An allowance, as it stands in the text.
struct Allow<'a> {
    /// The line it stands on, from 1.
    line: usize,
    column: usize,
    /// The line that it is for.
    of: usize,
    rules: Vec<&'a str>,
    reason: &'a str,
    text: &'a str,
}

/// Parts the findings of a file into those that count and those that are allowed beside them, and adds
/// one for each allowance that has no reason or allows nothing.
pub(crate) fn part(
    path: &str,
    held: &Held,
    findings: Vec<Finding>,
    is_test: bool,
) -> (Vec<Finding>, Vec<Finding>) {
    let allows = read(held);
    if allows.is_empty() {
        return (findings, Vec::new());
    }
    let mut used = vec![false; allows.len()];
    let (mut counted, mut allowed) = (Vec::new(), Vec::new());
    for mut finding in findings {
        let matching = allows.iter().position(|allow| {
            let beside = allow.of == finding.start.line
                || allow.line == finding.start.line
                || allow.line == finding.end.line;
            beside && allow.rules.iter().any(|rule| Rule::from_str(rule) == Ok(finding.rule))
        });
        match matching {
            Some(nth) => {
                used[nth] = true;
                if allows[nth].reason.is_empty() {
                    counted.push(finding);
                } else {
                    finding.allowed = Some(allows[nth].reason.to_owned());
                    allowed.push(finding);
                }
            }
            None => counted.push(finding),
        }
    }
    for (allow, used) in allows.iter().zip(used) {
        if allow.reason.is_empty() {
            let message =
                "an allowance needs a reason: write behind the bracket what bounds it, or who ends it";
            counted.push(told(path, allow, Rule::AllowWithoutReason, message.to_owned(), is_test));
        } else if !used {
            counted.push(told(path, allow, Rule::UnusedAllow, unused(allow), is_test));
        }
    }
    (counted, allowed)
}

fn unused(allow: &Allow<'_>) -> String {
    match allow.rules.iter().find_map(|rule| Rule::from_str(rule).err()) {
        Some(unknown) => unknown.to_string(),
        None => format!("nothing of {} is found here: remove the allowance", allow.rules.join(", ")),
    }
}

fn told(path: &str, allow: &Allow<'_>, rule: Rule, message: String, is_test: bool) -> Finding {
    let start = Position { line: allow.line, column: allow.column };
    let end = Position { line: allow.line, column: allow.column + allow.text.chars().count() };
    Finding {
        rule,
        path: path.to_owned(),
        start,
        end,
        function: String::new(),
        what: allow.text.chars().take(120).collect(),
        message,
        facts: Vec::new(),
        rank: if is_test { Rank::Low } else { Rank::Medium },
        source: Source::Constant,
        place: if is_test { Place::Test } else { Place::Runtime },
        suggestions: Vec::new(),
        anchor: allow.text.chars().take(240).collect(),
        ordinal: 0,
        allowed: None,
    }
}

fn read(held: &Held) -> Vec<Allow<'_>> {
    let text = &held.text;
    if !text.contains(MARK) {
        return Vec::new();
    }
    let mut strings = Vec::new();
    long_literals(held.tree.to_token_stream(), &mut strings);
    let lines: Vec<&str> = text.lines().collect();
    let mut allows = Vec::new();
    for (nth, line) in lines.iter().enumerate() {
        let Some(at) = line.find(MARK) else { continue };
        // A mark within a string or a longer comment is none: the comment begins with it.
        let before = &line[..at];
        if before.contains("//")
            || before.matches('"').count() % 2 == 1
            || before.trim_end().ends_with(['`', '"'])
        {
            continue;
        }
        if strings.iter().any(|(first, last)| (first + 1..=*last).contains(&(nth + 1))) {
            continue;
        }
        let Some((rules, reason)) = line[at + MARK.len()..].split_once(')') else { continue };
        let alone = before.trim().is_empty();
        allows.push(Allow {
            line: nth + 1,
            column: before.chars().count() + 1,
            of: if alone { code_below(&lines, nth) } else { nth + 1 },
            rules: rules.split(',').map(str::trim).collect(),
            reason: reason.trim(),
            text: line[at..].trim_end(),
        });
        if allows.len() == ALLOWS_MAX {
            break;
        }
    }
    allows
}

/// The number of the line of code below a comment, other comments and attributes passed over.
fn code_below(lines: &[&str], comment: usize) -> usize {
    let below = lines.iter().enumerate().skip(comment + 1).find(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("//") && !line.starts_with("#[")
    });
    below.map_or(comment + 1, |(nth, _)| nth + 1)
}

/// The lines of literals that go over several: what looks like a comment there is none.
fn long_literals(tokens: TokenStream, found: &mut Vec<(usize, usize)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => long_literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let (first, last) = (literal.span().start().line, literal.span().end().line);
                if first < last {
                    found.push((first, last));
                }
            }
            _ => {}
        }
    }
}
