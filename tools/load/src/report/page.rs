//! The page: one HTML file that needs nothing else.

use std::fmt::Write as _;

use super::charts;
use super::record::{Counts, Named, Record, Stage, Times};
use crate::figure::{count, grouped, millis, percent, seconds};
use crate::judge::State;
use crate::plot::escaped;

const STYLE: &str = include_str!("style.css");

const OMISSION: &str = "\
Requests were due by a clock, whether or not the target kept up. The time of a request counts from when it was due, \
as it does for whoever waits for it. Had each connection waited for its answer before it asked again, as many tools \
do, a stall of a second would have held back a second's requests: they would never have been sent, so that the stall \
would show as one slow request where there should be hundreds. That is <em>coordinated omission</em>. The second line \
counts from when a request was really sent and shows what such a tool would have reported. Where the lines part, \
requests stood in line for the target.";

/// The page of a record.
#[must_use]
pub fn html(record: &Record) -> String {
    let mut page = String::with_capacity(64 << 10);
    let target = escaped(&record.target);
    let _ = writeln!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} - {target}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        escaped(record.verdict.words())
    );
    let _ = writeln!(page, "<p class=\"soft\">plimsoll load</p>\n<h1>{target}</h1>");
    verdict(&mut page, record);
    assertions(&mut page, record);
    search(&mut page, record);
    if !record.stages.is_empty() {
        stages(&mut page, record);
        plots(&mut page, record);
        tenants(&mut page, record);
    }
    generator(&mut page, record);
    named(&mut page, "Settings", &record.settings);
    named(&mut page, "Environment", &record.environment);
    let _ = writeln!(
        page,
        "<footer>Written by plimsoll load. This page fetches nothing.</footer>\n</body>\n</html>"
    );
    page
}

fn verdict(page: &mut String, record: &Record) {
    let class = state_name(&record.verdict);
    let _ = write!(
        page,
        "<div class=\"verdict {class}\"><strong>{}</strong>",
        escaped(&sentence(record.verdict.words()))
    );
    list(page, &record.because);
    page.push_str("</div>\n");
    if !record.not_checked.is_empty() {
        page.push_str("<p>Not checked:</p>");
        list(page, &record.not_checked);
    }
}

fn list(page: &mut String, lines: &[String]) {
    if !lines.is_empty() {
        page.push_str("<ul>");
        for line in lines {
            let _ = write!(page, "<li>{}</li>", escaped(line));
        }
        page.push_str("</ul>\n");
    }
}

fn assertions(page: &mut String, record: &Record) {
    if record.assertions.is_empty() {
        return;
    }
    page.push_str("<h2>What had to hold</h2>\n<div class=\"wide\"><table>\n<tr><th></th><th>asked</th><th>seen</th></tr>\n");
    for assertion in &record.assertions {
        let words = match assertion.state {
            State::Held => "&#10003; held",
            State::Broken => "&#10007; broken",
            State::NotChecked => "? not checked",
            State::NotJudged => "? could not be judged",
            State::Open => "? open",
        };
        let _ = writeln!(
            page,
            "<tr class=\"{}\"><td class=\"state\">{words}</td><td>{}<br><code class=\"soft\">{}</code></td><td>{}</td></tr>",
            state_name(&assertion.state),
            escaped(&assertion.asks),
            escaped(&assertion.name),
            escaped(&assertion.seen),
        );
    }
    page.push_str("</table></div>\n");
}

fn search(page: &mut String, record: &Record) {
    let Some(search) = &record.search else { return };
    page.push_str("<h2>The search for the bound</h2>\n");
    list(page, &search.finding.explained());
    page.push_str(&charts::search(search));
    page.push_str(
        "<div class=\"wide\"><table>\n<tr><th class=\"number\">offered</th><th class=\"number\">succeeded</th>\
         <th class=\"number\">refused</th><th class=\"number\">failed</th><th class=\"number\">mean</th>\
         <th class=\"number\">p99</th></tr>\n",
    );
    for step in &search.steps {
        row(
            page,
            &[],
            &[
                format!("{}/s", count(step.offered)),
                format!("{}/s", count(step.goodput_mean())),
                percent(step.refused_ratio),
                percent(step.failed_ratio),
                millis(step.mean_ms),
                millis(step.p99_ms),
            ],
        );
    }
    page.push_str("</table></div>\n");
}

/// A row: what it is of, then its numbers.
fn row(page: &mut String, of: &[&str], numbers: &[String]) {
    page.push_str("<tr>");
    for name in of {
        let _ = write!(page, "<td>{}</td>", escaped(name));
    }
    for number in numbers {
        let _ = write!(page, "<td class=\"number\">{}</td>", escaped(number));
    }
    page.push_str("</tr>\n");
}

fn stages(page: &mut String, record: &Record) {
    page.push_str("<h2>The parts of the run</h2>\n<div class=\"wide\"><table>\n<tr><th>part</th>");
    for head in ["lasted", "due", "due/s", "succeeded", "refused", "lost", "p50", "p99", "p99.9", "slowest"] {
        let _ = write!(page, "<th class=\"number\">{head}</th>");
    }
    page.push_str("</tr>\n");
    for stage in &record.stages {
        let Stage { counts, from_due: Times { p50_ms, p99_ms, p999_ms, max_ms, .. }, .. } = stage;
        let share = |number: u64| percent(number as f64 / counts.due.max(1) as f64);
        row(
            page,
            &[&stage.name],
            &[
                seconds(stage.seconds()),
                grouped(counts.due),
                count(counts.due as f64 / stage.seconds()),
                share(counts.succeeded),
                share(counts.refused),
                share(counts.lost()),
                millis(*p50_ms),
                millis(*p99_ms),
                millis(*p999_ms),
                millis(*max_ms),
            ],
        );
    }
    page.push_str("</table></div>\n");
    let lost: Vec<String> =
        record.stages.iter().filter_map(|stage| lost(&stage.name, &stage.counts)).collect();
    list(page, &lost);
}

/// What was lost, by what became of it.
fn lost(stage: &str, counts: &Counts) -> Option<String> {
    let parts = [
        (counts.failed, "answered with another status"),
        (counts.timed_out, "not answered in time"),
        (counts.not_connected, "refused a connection"),
        (counts.cut, "cut off"),
        (counts.unsent, "not sent, as the target held all connections"),
        (counts.refused_without_retry_after, "refused without Retry-After"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{} {words}", grouped(*number)))
        .collect();
    (!parts.is_empty()).then(|| format!("{stage}: {}", parts.join(", ")))
}

fn plots(page: &mut String, record: &Record) {
    page.push_str("<h2>Over time</h2>\n<h3>Requests a second</h3>\n");
    page.push_str(&charts::rates(record));
    page.push_str("<h3>Time to a success, from when the request was due (logarithmic)</h3>\n");
    let level = setting(record, "p99-ms")
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|_| !record.assertions.is_empty());
    page.push_str(&charts::times(record, level.map(|level| (level, "asked of the p99"))));
    page.push_str("<h2>How long it takes</h2>\n");
    page.push_str(&charts::distribution(record));
    let _ = writeln!(page, "<p>{OMISSION}</p>");
    let readings = charts::readings(record);
    if !readings.is_empty() {
        page.push_str("<h2>The target&#39;s own numbers</h2>\n");
        for (title, plot) in readings {
            let _ = write!(page, "<h3>{title}</h3>\n{plot}");
        }
    }
}

fn tenants(page: &mut String, record: &Record) {
    if record.tenants.is_empty() {
        return;
    }
    page.push_str("<h2>By tenant</h2>\n<div class=\"wide\"><table>\n<tr><th>tenant</th><th>part</th>");
    for head in ["due", "succeeded", "refused", "p99"] {
        let _ = write!(page, "<th class=\"number\">{head}</th>");
    }
    page.push_str("</tr>\n");
    for tenant in &record.tenants {
        let share = |number: u64| percent(number as f64 / tenant.due.max(1) as f64);
        row(
            page,
            &[&tenant.name, &tenant.stage],
            &[grouped(tenant.due), share(tenant.succeeded), share(tenant.refused), millis(tenant.p99_ms)],
        );
    }
    page.push_str("</table></div>\n");
}

fn generator(page: &mut String, record: &Record) {
    let words = if record.generator.was_the_limit {
        "The generator was the limit, or near it: what is above says as much about it as about the target."
    } else {
        "The generator was not the limit."
    };
    let _ = writeln!(page, "<h2>The generator</h2>\n<p>{words}</p>");
    list(page, &record.generator.seen);
}

fn named(page: &mut String, title: &str, rows: &[Named]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>{title}</h2>\n<div class=\"wide\"><table>");
    for Named { name, value } in rows {
        let _ = writeln!(page, "<tr><td>{}</td><td><code>{}</code></td></tr>", escaped(name), escaped(value));
    }
    page.push_str("</table></div>\n");
}

fn setting<'record>(record: &'record Record, name: &str) -> Option<&'record str> {
    record.settings.iter().find(|named| named.name == name).map(|named| named.value.as_str())
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// As JSON has it, which the style sheet goes by.
fn state_name(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
