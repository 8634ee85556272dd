use std::fmt::Write as _;

use super::chart::{card, columns};
use super::survey::{History, Point, Tally};
use crate::handbook;
use crate::rule::Rule;

const CSS: &str = include_str!("page.css");

/// One page that stands alone: no script, nothing from elsewhere, in light and dark.
pub fn page(history: &History, title: &str) -> String {
    let title = escaped(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: unbounded concurrency over time</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
    );
    let _ = writeln!(out, "<h1>{title}: unbounded concurrency over time</h1>");
    let (Some(first), Some(last)) = (history.points.first(), history.points.last()) else {
        out.push_str("<p>There is no commit yet.</p>\n</body>\n</html>\n");
        return out;
    };
    let shallow = if history.shallow { " The clone is shallow: older commits are not in it." } else { "" };
    let _ = writeln!(
        out,
        "<p class=\"soft\">What <code>plimsoll lint</code> finds at the end of each month of the main line, {} to {}, \
         by today's rules.{shallow}</p>",
        first.month, last.month
    );
    figures(&mut out, first, last);
    out.push_str(
        "<h2>By rank</h2>\n<p class=\"legend soft\"><span><i style=\"background:var(--high)\"></i>high: fed by peers \
         or input</span><span><i style=\"background:var(--medium)\"></i>medium: by configuration, or not to be told\
         </span><span><i style=\"background:var(--low)\"></i>low: by a constant</span></p>\n",
    );
    out.push_str(&columns(&history.points));
    rules(&mut out, history, first, last);
    table(&mut out, history);
    out.push_str("</body>\n</html>\n");
    out
}

fn figures(out: &mut String, first: &Point, last: &Point) {
    let (then, now) = (first.all(), last.all());
    out.push_str("<div class=\"figures\">\n");
    for (name, now, then) in [
        ("now", now.outside_tests(), then.outside_tests()),
        ("of rank high", now.high, then.high),
        ("in tests", now.tests, then.tests),
        ("files", last.files, first.files),
    ] {
        let _ = writeln!(
            out,
            "<div class=\"figure\"><b>{now}</b><span class=\"soft\">{name}, {then} in {}</span></div>",
            first.month
        );
    }
    out.push_str("</div>\n");
}

fn rules(out: &mut String, history: &History, first: &Point, last: &Point) {
    out.push_str("<h2>By rule</h2>\n<div class=\"cards\">\n");
    for rule in ever(history) {
        let counts: Vec<usize> = history.points.iter().map(|point| of(point, rule).outside_tests()).collect();
        let (then, now) = (of(first, rule).outside_tests(), of(last, rule).outside_tests());
        let (class, change) = match now.cmp(&then) {
            std::cmp::Ordering::Less => ("less", format!("−{}", then - now)),
            std::cmp::Ordering::Equal => ("soft", "no change".to_owned()),
            std::cmp::Ordering::Greater => ("more", format!("+{}", now - then)),
        };
        let most = counts.iter().max().copied().unwrap_or_default();
        let _ = writeln!(
            out,
            "<div class=\"card\"><h3><a href=\"{}\">{} {rule}</a><span>{now}</span></h3>\n\
             <p><span class=\"{class}\">{change} since {}</span><span class=\"soft\">, at most {most}</span></p>\n{}</div>",
            escaped(&handbook::address(rule)),
            rule.code(),
            first.month,
            card(&history.points, &counts)
        );
    }
    out.push_str("</div>\n");
}

fn table(out: &mut String, history: &History) {
    out.push_str("<h2>In numbers</h2>\n<div class=\"wide\"><table>\n<tr><th>rule</th>");
    for point in &history.points {
        let _ = write!(out, "<th title=\"{}\">{}</th>", escaped(&point.commit), point.month);
    }
    out.push_str("</tr>\n");
    for rule in ever(history) {
        let _ = write!(out, "<tr><td>{} {rule}</td>", rule.code());
        for point in &history.points {
            let _ = write!(out, "<td>{}</td>", of(point, rule).outside_tests());
        }
        out.push_str("</tr>\n");
    }
    out.push_str("<tr><td><b>in all</b></td>");
    for point in &history.points {
        let _ = write!(out, "<td><b>{}</b></td>", point.all().outside_tests());
    }
    out.push_str("</tr>\n</table></div>\n");
}

/// The rules of which there ever was anything outside of tests, those with the most now first.
pub(super) fn ever(history: &History) -> Vec<Rule> {
    let was = |rule: &&Rule| history.points.iter().any(|point| of(point, **rule).outside_tests() > 0);
    let mut rules: Vec<Rule> = Rule::ALL.iter().filter(was).copied().collect();
    let now = |rule: Rule| history.points.last().map(|point| of(point, rule)).unwrap_or_default();
    rules.sort_by_key(|rule| std::cmp::Reverse((now(*rule).outside_tests(), now(*rule).high)));
    rules
}

pub(super) fn of(point: &Point, rule: Rule) -> Tally {
    point.rules.get(&rule).copied().unwrap_or_default()
}

/// As text of a page or of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
