use std::collections::HashSet;
use std::path::Path;

use super::resolve::ResolvedCalls;
use super::run::{ClippyError, resolved};
use crate::finding::{Finding, Position};
use crate::lint::{lint_tree, settled};
use crate::options::Options;
use crate::report::{Progress, Report};
use crate::rule::Rule;

/// Judges a tree by its sources and by what clippy says of its types.
///
/// What the sources tell by themselves is told as without types, with the same fingerprints; what only the
/// types tell is added to it.
///
/// # Errors
/// As [`resolved`].
pub fn lint_tree_with_types(
    root: &Path,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, ClippyError> {
    let calls: ResolvedCalls = resolved(root)?.into_iter().collect();
    let typed = Options { resolved: calls, ..options.clone() };
    let plain = lint_tree(root, options, progress);
    Ok(joined(plain, lint_tree(root, &typed, progress)))
}

/// The findings of the first, and what only the second has.
fn joined(plain: Report, typed: Report) -> Report {
    let mut report = plain;
    let seen: HashSet<(String, Position)> =
        report.findings.iter().chain(&report.allowed).map(place).collect();
    // An allowance that nothing was found beside may be one of what only types tell.
    report.findings.retain(|finding| !is_of_allowances(finding.rule));
    let is_new = |finding: &Finding| is_of_allowances(finding.rule) || !seen.contains(&place(finding));
    report.findings.extend(typed.findings.into_iter().filter(is_new));
    report.allowed.extend(typed.allowed.into_iter().filter(is_new));
    settled(report)
}

fn place(finding: &Finding) -> (String, Position) {
    (finding.path.clone(), finding.start)
}

fn is_of_allowances(rule: Rule) -> bool {
    matches!(rule, Rule::UnusedAllow | Rule::AllowWithoutReason)
}
