//! A chart as an inline SVG: lines over a common axis, spans shaded, values told on pointing at it.
//!
//! Colours are names of the page's style sheet, so that the chart follows light and dark.

use std::fmt::Write as _;

use super::scale::Scale;

/// The size in the units of the drawing; the page scales it to its width.
const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 36.0;
/// How far below a level its name is, where it is not above.
const LEVEL_NAME: f64 = 14.0;
/// More points than pixels are drawn by nobody: what lies together is drawn as its lowest and highest.
const POINTS_MAX: usize = 600;
/// Characters of a name at a shade that fit into so many units.
const UNITS_A_LETTER: f64 = 6.6;

/// One line; a point without a value interrupts it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    /// For the legend.
    pub(crate) name: String,
    /// The class of the style sheet that has its colour.
    pub(crate) class: &'static str,
    /// From left to right.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// A part of the horizontal axis that has a name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shade {
    /// What it is.
    pub(crate) name: String,
    /// From here.
    pub(crate) from: f64,
    /// To there.
    pub(crate) to: f64,
}

/// A level that is drawn across.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Level {
    /// What it is.
    pub(crate) name: String,
    /// Where.
    pub(crate) value: f64,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// For who cannot see it.
    pub(crate) title: String,
    /// From left to right.
    pub(crate) across: Scale,
    /// The numbers below, and how each is written.
    pub(crate) across_ticks: Vec<(f64, String)>,
    /// From bottom to top.
    pub(crate) up: Scale,
    /// How a number at the left is written.
    pub(crate) write: fn(f64) -> String,
    /// The lines.
    pub(crate) lines: Vec<Line>,
    /// The shades.
    pub(crate) shades: Vec<Shade>,
    /// The levels.
    pub(crate) levels: Vec<Level>,
}

impl Chart {
    /// The SVG and its legend.
    pub(crate) fn svg(&self) -> String {
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(&self.title)
        );
        self.draw_shades(&mut svg);
        self.draw_axes(&mut svg);
        for line in &self.lines {
            self.draw_line(&mut svg, line);
        }
        for level in &self.levels {
            self.draw_level(&mut svg, level);
        }
        svg.push_str("</svg>\n");
        self.legend(&mut svg);
        svg
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.up.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn draw_shades(&self, svg: &mut String) {
        for (number, shade) in self.shades.iter().enumerate() {
            let (from, to) = (self.x(shade.from), self.x(shade.to));
            let class = if number % 2 == 0 { "even" } else { "odd" };
            let (width, height) = ((to - from).max(0.0), HEIGHT - TOP - BOTTOM);
            let _ = writeln!(
                svg,
                "<rect class=\"shade {class}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
            // A name that does not fit would run into the next.
            if shade.name.chars().count() as f64 * UNITS_A_LETTER < width {
                let _ = writeln!(
                    svg,
                    "<text class=\"shade\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    from + 4.0,
                    TOP - 8.0,
                    escaped(&shade.name)
                );
            }
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        for tick in self.up.ticks(5) {
            let y = self.y(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"up\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                escaped(&(self.write)(tick))
            );
        }
        for (tick, text) in &self.across_ticks {
            let x = self.x(*tick);
            let bottom = HEIGHT - BOTTOM;
            let _ = writeln!(
                svg,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text class=\"across\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 5.0,
                bottom + 19.0,
                escaped(text)
            );
        }
    }

    fn draw_line(&self, svg: &mut String, line: &Line) {
        let mut path = String::new();
        let mut pen_down = false;
        for (x, value) in thinned(&line.points) {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(x), self.y(value));
            if !pen_down {
                // A point between two gaps is a line of no length: round ends make it a dot.
                path.push_str("h0");
            }
            pen_down = true;
        }
        if !path.is_empty() {
            let name = escaped(&line.name);
            let _ = writeln!(
                svg,
                "<path class=\"line {}\" d=\"{path}\"><title>{name}</title></path>",
                line.class
            );
        }
    }

    fn draw_level(&self, svg: &mut String, level: &Level) {
        let y = self.y(level.value);
        let right = WIDTH - RIGHT;
        // At the top its name would stand among those of the shades.
        let name_y = if y < TOP + LEVEL_NAME { y + LEVEL_NAME } else { y - 5.0 };
        let _ = writeln!(
            svg,
            "<line class=\"level\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"level\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            right - 4.0,
            name_y,
            escaped(&level.name)
        );
    }

    fn legend(&self, html: &mut String) {
        html.push_str("<div class=\"legend\">");
        for line in self.lines.iter().filter(|line| line.points.iter().any(|(_, value)| value.is_some())) {
            let _ = write!(html, "<span><i class=\"{}\"></i>{}</span> ", line.class, escaped(&line.name));
        }
        html.push_str("</div>\n");
    }
}

/// At most so many points, with the lowest and the highest of each bunch in their order.
fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let bunch = points.len().div_ceil(POINTS_MAX / 2);
    points
        .chunks(bunch)
        .flat_map(|chunk| {
            let valued =
                || chunk.iter().enumerate().filter_map(|(place, (_, value))| Some((place, (*value)?)));
            let low = valued().min_by(|(_, one), (_, other)| one.total_cmp(other));
            let high = valued().max_by(|(_, one), (_, other)| one.total_cmp(other));
            match (low, high) {
                (Some((low, _)), Some((high, _))) => {
                    let both = [low.min(high), low.max(high)];
                    both.into_iter().take(if low == high { 1 } else { 2 }).map(|place| chunk[place]).collect()
                }
                _ => vec![chunk[0]],
            }
        })
        .collect()
}

/// Text that is no markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::scale::Spread;
    use super::*;

    fn chart(points: Vec<(f64, Option<f64>)>) -> Chart {
        let values: Vec<f64> = points.iter().filter_map(|(_, value)| *value).collect();
        Chart {
            title: "a < b".to_owned(),
            across: Scale::between(0.0, 10.0),
            across_ticks: vec![(0.0, "0 s".to_owned()), (10.0, "10 s".to_owned())],
            up: Scale::around(Spread::Linear, values.into_iter()),
            write: crate::figure::count,
            lines: vec![Line { name: "p99".to_owned(), class: "p99", points }],
            shades: vec![Shade { name: "0.7x".to_owned(), from: 0.0, to: 5.0 }],
            levels: vec![Level { name: "bound".to_owned(), value: 2.0 }],
        }
    }

    #[test]
    fn a_gap_interrupts_the_line() {
        let svg = chart(vec![(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))]).svg();
        let path = svg.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
    }

    #[test]
    fn text_is_no_markup_and_nothing_is_fetched() {
        let svg = chart(vec![(0.0, Some(1.0))]).svg();
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
        assert!(!svg.contains("http"), "{svg}");
    }

    #[test]
    fn an_hour_of_seconds_keeps_its_peak() {
        let mut points: Vec<_> = (0..3_600).map(|second| (f64::from(second), Some(1.0))).collect();
        points[1_234].1 = Some(99.0);
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX && thin.contains(&(1_234.0, Some(99.0))), "{}", thin.len());
        assert!(thin.is_sorted_by(|(one, _), (other, _)| one <= other));
        assert_eq!(thinned(&[(0.0, None)]), [(0.0, None)]);
    }

    #[test]
    fn a_line_of_nothing_is_in_no_legend() {
        assert!(!chart(vec![(0.0, None)]).svg().contains("<i class"));
    }
}
