use std::fmt::Write as _;

use super::page::{ever, of};
use super::survey::{History, Point};
use crate::output::Style;

const ROWS: usize = 10;
/// Months beside each other; of a longer history the last are drawn.
const MONTHS: usize = 36;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The same as the page, for a terminal: columns of all, and a line for each rule.
pub fn terminal(history: &History, style: Style) -> String {
    let points = &history.points[history.points.len().saturating_sub(MONTHS)..];
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return "there is no commit yet\n".to_owned();
    };
    let mut out = String::from("sites outside of tests, at the end of each month\n\n");
    columns(&mut out, points, style);
    let _ = writeln!(
        out,
        "\n{:<28}{:<width$} {:>6}{:>6}{:>6}",
        "rule",
        "",
        "then",
        "most",
        "now",
        width = points.len()
    );
    for rule in ever(history) {
        let counts: Vec<usize> = points.iter().map(|point| of(point, rule).outside_tests()).collect();
        let most = counts.iter().max().copied().unwrap_or_default();
        let line: String = counts.iter().map(|count| EIGHTHS[eighths(*count, most, 8)]).collect();
        let (then, now) = (of(first, rule).outside_tests(), of(last, rule).outside_tests());
        let _ = writeln!(out, "{:<28}{line} {then:>6}{most:>6}{now:>6}", format!("{} {rule}", rule.code()));
    }
    let _ = writeln!(out, "\n{}; {}", ending(first), ending(last));
    if history.shallow {
        out.push_str("the clone is shallow: older commits are not in it (git fetch --unshallow)\n");
    }
    out
}

fn ending(point: &Point) -> String {
    let Point { month, files, .. } = point;
    let all = point.all();
    format!(
        "{month}: {} in {files} file{}, {} of them high",
        all.outside_tests(),
        if *files == 1 { "" } else { "s" },
        all.high
    )
}

/// A column for each month: the lower part, of rank high, in its colour.
fn columns(out: &mut String, points: &[Point], style: Style) {
    let most = points.iter().map(|point| point.all().outside_tests()).max().unwrap_or_default();
    for row in (0..ROWS).rev() {
        let label = if row == ROWS - 1 { most.to_string() } else { String::new() };
        let _ = write!(out, "{label:>7} {}", style.dim("│"));
        for point in points {
            let all = point.all();
            let tall = eighths(all.outside_tests(), most, ROWS * 8);
            let letter = EIGHTHS[tall.saturating_sub(row * 8).min(8)];
            let high = row * 8 < eighths(all.high, most, ROWS * 8);
            let letter = letter.to_string();
            out.push_str(&if high { style.mark(&letter) } else { letter });
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{:>7} {}", 0, style.dim(&format!("└{}", "─".repeat(points.len()))));
    let mut names = String::new();
    for (nth, point) in points.iter().enumerate() {
        if (point.month.is_january() || nth == 0) && names.len() <= nth {
            let _ = write!(names, "{:<gap$}{}", "", point.month, gap = nth - names.len());
        }
    }
    let _ = writeln!(out, "{:>9}{names}", "");
}

/// How tall a count is beside the most, in eighths of a letter; what is there at all is seen.
fn eighths(count: usize, most: usize, of: usize) -> usize {
    if count == 0 || most == 0 { 0 } else { (count * of / most).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_the_whole_height_and_one_of_many_is_still_seen() {
        assert_eq!(eighths(7, 7, 80), 80);
        assert_eq!(eighths(1, 10_000, 80), 1);
        assert_eq!(eighths(0, 10, 80), 0);
        assert_eq!(eighths(0, 0, 80), 0);
    }
}
