use std::fmt::Write as _;

use super::survey::Point;

const WIDTH: f64 = 1_040.0;
const HEIGHT: f64 = 280.0;
/// Room for the numbers on the left and the months below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 26.0;
const ABOVE: f64 = 10.0;
/// And for half of the last month's name on the right.
const RIGHT: f64 = 18.0;

/// A column for each month, of three ranks.
pub(super) fn columns(points: &[Point]) -> String {
    let most = points.iter().map(|point| point.all().outside_tests()).max().unwrap_or_default();
    let top = Scale::over(most);
    let height = HEIGHT - BELOW - ABOVE;
    let step = (WIDTH - LEFT - RIGHT) / number(points.len().max(1));
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"sites by rank and month\">\n"
    );
    for line in 0..=top.lines {
        let y = ABOVE + height - height * number(line) / number(top.lines);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            line * top.step
        );
    }
    let labels = Labels::of(points);
    for (nth, point) in points.iter().enumerate() {
        let all = point.all();
        let x = LEFT + step * number(nth);
        let _ = writeln!(
            out,
            "<g><title>{}: {} high, {} medium, {} low; {} in tests</title>\
             <rect class=\"hit\" x=\"{x:.2}\" y=\"{ABOVE}\" width=\"{step:.2}\" height=\"{height}\"/>",
            point.month, all.high, all.medium, all.low, all.tests
        );
        let mut base = ABOVE + height;
        for (class, count) in [("high", all.high), ("medium", all.medium), ("low", all.low)] {
            let tall = height * number(count) / number(top.value());
            base -= tall;
            if count > 0 {
                let wide = (step * 0.76).min(64.0);
                let left = x + (step - wide) / 2.0;
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{left:.2}\" y=\"{base:.2}\" width=\"{wide:.2}\" height=\"{tall:.2}\"/>"
                );
            }
        }
        out.push_str("</g>\n");
        if labels.has(nth) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                x + step / 2.0,
                HEIGHT - 8.0,
                point.month
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// A small line of one rule, from zero to its most.
pub(super) fn card(points: &[Point], counts: &[usize]) -> String {
    let (width, height, margin) = (212.0, 48.0, 4.0);
    let most = counts.iter().max().copied().unwrap_or_default().max(1);
    let step = (width - 2.0 * margin) / number(counts.len().max(2) - 1);
    let place = |nth: usize| {
        let y = margin + (height - 2.0 * margin) * (1.0 - number(counts[nth]) / number(most));
        (margin + step * number(nth), y)
    };
    let line: Vec<String> = (0..counts.len()).map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (last_x, last_y) = place(counts.len() - 1);
    let floor = height - margin;
    let mut out =
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"at most {most}\">");
    let _ = write!(
        out,
        "<line class=\"grid\" x1=\"{margin}\" x2=\"{:.0}\" y1=\"{floor}\" y2=\"{floor}\"/>\
         <polygon class=\"area\" points=\"{margin},{floor} {} {last_x:.1},{floor}\"/>\
         <polyline class=\"edge\" points=\"{}\"/><circle class=\"dot\" cx=\"{last_x:.1}\" cy=\"{last_y:.1}\" r=\"2.6\"/>",
        width - margin,
        line.join(" "),
        line.join(" ")
    );
    for (nth, count) in counts.iter().enumerate() {
        let x = place(nth).0 - step / 2.0;
        let _ = write!(
            out,
            "<rect class=\"hit\" x=\"{x:.1}\" y=\"0\" width=\"{step:.1}\" height=\"{height}\"><title>{}: {count}</title></rect>",
            points[nth].month
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Round numbers from zero up to at least the most there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Scale {
    step: usize,
    lines: usize,
}

impl Scale {
    fn over(most: usize) -> Self {
        let rounds = [1, 2, 5].iter().cycle().zip(0_u32..);
        let mut steps = rounds.map(|(round, nth)| round * 10_usize.saturating_pow(nth / 3));
        // Five lines at most; beyond what a machine counts to there is no step left to take.
        let step = steps.find(|step| step.saturating_mul(5) >= most).unwrap_or(usize::MAX);
        Self { step, lines: most.div_ceil(step).max(1) }
    }

    const fn value(self) -> usize {
        self.step * self.lines
    }
}

/// Which months are named: as many as can stand beside each other, counted from the last.
struct Labels {
    every: usize,
    count: usize,
}

impl Labels {
    fn of(points: &[Point]) -> Self {
        const BESIDE: usize = 14;
        let count = points.len();
        Self { every: count.div_ceil(BESIDE).max(1), count }
    }

    const fn has(&self, nth: usize) -> bool {
        (self.count - 1 - nth).is_multiple_of(self.every)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is some hundred points wide")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scale_reaches_over_what_it_shows_in_at_most_five_round_steps(most in 0_usize..10_000_000) {
            let scale = Scale::over(most);
            prop_assert!(scale.value() >= most && (1..=5).contains(&scale.lines));
            prop_assert!(most < 5 || scale.value() < most * 2);
            let digits = scale.step.to_string();
            prop_assert!(matches!(digits.trim_end_matches('0'), "1" | "2" | "5"));
        }
    }
}
