use std::fmt::Write as _;

use crate::rule::Rule;

/// What the page begins with.
const HEAD: &str = include_str!("handbook_head.md");

/// The page of the handbook, `docs/lint.md`: what the command does, and every rule.
pub fn handbook() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## The rules\n\n| rule | what it tells |\n| --- | --- |\n");
    for rule in Rule::ALL {
        let _ = writeln!(page, "| [{} {rule}](#{}) | {} |", rule.code(), anchor(*rule), rule.title());
    }
    for rule in Rule::ALL {
        page.push('\n');
        page.push_str(&deeper(rule.page()));
    }
    page
}

/// Where the page of a rule is on the web.
pub(crate) fn address(rule: Rule) -> String {
    format!("{}/blob/main/docs/lint.md#{}", env!("CARGO_PKG_REPOSITORY"), anchor(rule))
}

/// What GitHub makes of the rule's heading.
fn anchor(rule: Rule) -> String {
    let heading = rule.page().lines().next().unwrap_or_default().trim_start_matches('#').trim();
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// The same text two headings deeper; what stands between fences is no heading.
fn deeper(text: &str) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.trim_end().lines() {
        fenced ^= line.starts_with("```");
        if !fenced && line.starts_with('#') {
            out.push_str("##");
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
