//! The drawing: from a view to cells.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Wrap};

use crate::figure::{bytes, count, millis, seconds};
use crate::judge::{Assertion, State};
use crate::report::Moment;
use crate::trial::{Part, View};

/// The least time that the plots show.
const SECONDS_MIN: f64 = 10.0;
/// The shortest time that is told apart on the logarithmic axis.
const MS_MIN: f64 = 0.05;
const PART_COLOURS: [Color; 3] = [Color::Blue, Color::Magenta, Color::Cyan];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, said: &str) {
    let assertions = view.assertions.len() as u16;
    // On a low terminal the plots give way before the assertions do.
    let below = if assertions > 0 { assertions + 2 } else { 0 };
    let [head, bar, plots, list, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(2),
        Constraint::Min(8),
        Constraint::Length(below),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    draw_head(frame, head, view);
    draw_bar(frame, bar, view);
    let [times, rates] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(plots);
    draw_times(frame, times, view);
    draw_rates(frame, rates, view);
    draw_assertions(frame, list, &view.assertions);
    let said = Line::from(said).dim();
    let keys = Line::from(vec!["q".bold(), " stops; the report is written all the same".dim()]);
    frame.render_widget(Paragraph::new(vec![said, keys]), foot);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let title = Line::from(vec![" plimsoll load ".bold().reversed(), format!(" {}", view.target).into()]);
    let vitals = &view.vitals;
    let mut numbers =
        vec![format!("{} under way", view.in_flight), format!("{} connections", view.connections)];
    numbers.extend(vitals.memory_bytes.map(|memory| format!("memory {}", bytes(memory))));
    numbers.extend(vitals.descriptors.map(|descriptors| format!("descriptors {}", count(descriptors))));
    numbers.extend(vitals.tasks.map(|tasks| format!("tasks {}", count(tasks))));
    numbers.extend(vitals.queue.map(|queue| format!("queue {}", count(queue))));
    let line = Line::from(vec![
        Span::from(view.doing.clone()).bold(),
        "   ".into(),
        Span::from(numbers.join("   ")).dim(),
    ]);
    frame.render_widget(Paragraph::new(vec![title, line]), area);
}

/// The parts as a bar, each as long as it takes, filled as far as the run is.
fn draw_bar(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let total = view.total_seconds();
    if total <= 0.0 || area.width == 0 {
        return;
    }
    let width = f64::from(area.width);
    let at = |seconds: f64| (seconds / total * width).round() as usize;
    let (mut names, mut bar, mut from) = (Vec::new(), Vec::new(), 0.0);
    for (number, Part { name, rate, seconds: length }) in view.parts.iter().enumerate() {
        let cells = at(from + length).saturating_sub(at(from));
        let filled = at(view.elapsed_seconds).clamp(at(from), at(from + length)) - at(from);
        let colour = PART_COLOURS[number % PART_COLOURS.len()];
        let label: String =
            format!("{name} {}/s", count(*rate)).chars().take(cells.saturating_sub(1)).collect();
        names.push(Span::styled(format!("{label:<cells$}"), Style::new().fg(colour)));
        bar.push(Span::styled("█".repeat(filled), Style::new().fg(colour)));
        bar.push(Span::styled("░".repeat(cells - filled), Style::new().fg(colour).dim()));
        from += length;
    }
    frame.render_widget(Paragraph::new(vec![Line::from(names), Line::from(bar)]), area);
}

fn draw_times(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let log = |ms: f64| ms.max(MS_MIN).log10();
    let points = |number: fn(&Moment) -> Option<f64>| -> Vec<(f64, f64)> {
        view.moments.iter().filter_map(|moment| Some((moment.at_seconds, log(number(moment)?)))).collect()
    };
    let (p50, p99) = (points(|moment| moment.p50_ms), points(|moment| moment.p99_ms));
    let all = || p50.iter().chain(&p99).map(|(_, log)| *log);
    let low = all().fold(f64::INFINITY, f64::min).min(1.0).floor();
    let high = all().fold(f64::NEG_INFINITY, f64::max).max(low + 1.0).ceil();
    let labels = (low as i32..=high as i32).map(|decade| Line::from(millis(10f64.powi(decade))));
    let chart = Chart::new(vec![line("p50", Color::Blue, &p50), line("p99", Color::Red, &p99)])
        .block(Block::bordered().title(" time to a success, from when it was due "))
        .x_axis(across(view))
        .y_axis(Axis::default().bounds([low, high]).labels(labels).style(Style::new().dim()));
    frame.render_widget(chart, area);
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let points = |number: fn(&Moment) -> f64| -> Vec<(f64, f64)> {
        view.moments.iter().map(|moment| (moment.at_seconds, number(moment))).collect()
    };
    let due = points(|moment| moment.due);
    let sent = points(|moment| moment.sent);
    let succeeded = points(|moment| moment.succeeded);
    let refused = points(|moment| moment.refused);
    let failed = points(|moment| moment.failed);
    let high = [&due, &sent, &succeeded, &refused, &failed]
        .into_iter()
        .flatten()
        .map(|(_, rate)| *rate)
        .fold(1.0, f64::max)
        * 1.1;
    let labels = [0.0, high / 2.0, high].map(|rate| Line::from(count(rate.round())));
    let chart = Chart::new(vec![
        line("due", Color::DarkGray, &due),
        line("sent", Color::Magenta, &sent),
        line("refused", Color::Yellow, &refused),
        line("failed", Color::Red, &failed),
        line("succeeded", Color::Green, &succeeded),
    ])
    .block(Block::bordered().title(" requests a second "))
    .x_axis(across(view))
    .y_axis(Axis::default().bounds([0.0, high]).labels(labels).style(Style::new().dim()));
    frame.render_widget(chart, area);
}

fn line<'a>(name: &'a str, colour: Color, points: &'a [(f64, f64)]) -> Dataset<'a> {
    Dataset::default()
        .name(name)
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(colour))
        .data(points)
}

fn across(view: &View) -> Axis<'static> {
    let from = view.moments.front().map_or(0.0, |moment| moment.at_seconds - 1.0);
    let to = view.moments.back().map_or(0.0, |moment| moment.at_seconds).max(from + SECONDS_MIN);
    Axis::default()
        .bounds([from, to])
        .labels([Line::from(seconds(from.round())), Line::from(seconds(to.round()))])
        .style(Style::new().dim())
}

fn draw_assertions(frame: &mut Frame<'_>, area: Rect, assertions: &[Assertion]) {
    if assertions.is_empty() {
        return;
    }
    let lines: Vec<Line<'_>> = assertions.iter().map(assertion_line).collect();
    let list =
        Paragraph::new(lines).wrap(Wrap { trim: false }).block(Block::bordered().title(" what must hold "));
    frame.render_widget(list, area);
}

fn assertion_line(assertion: &Assertion) -> Line<'_> {
    let (mark, colour) = match assertion.state {
        State::Open => ("· ", Color::DarkGray),
        State::Held => ("✓ ", Color::Green),
        State::Broken => ("✗ ", Color::Red),
        State::NotChecked | State::NotJudged => ("? ", Color::Yellow),
    };
    let words = if assertion.seen.is_empty() { &assertion.asks } else { &assertion.seen };
    let style = Style::new().fg(colour);
    Line::from(vec![
        Span::styled(mark, style.bold()),
        Span::styled(format!("{:<22}", assertion.name), style),
        Span::from(words.as_str()),
    ])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn view() -> View {
        let assertion = |name: &str, state| Assertion {
            name: name.into(),
            asks: "asked".into(),
            state,
            seen: "seen".into(),
        };
        let moment = |second: u32| Moment {
            at_seconds: f64::from(second),
            due: 700.0,
            succeeded: 700.0,
            p50_ms: Some(2.0),
            p99_ms: Some(40.0),
            ..Moment::default()
        };
        View {
            target: "http://127.0.0.1:8071".into(),
            doing: "2x overload".into(),
            elapsed_seconds: 11.0,
            parts: vec![
                Part { name: "0.7x below".into(), rate: 700.0, seconds: 10.0 },
                Part { name: "2x overload".into(), rate: 2_000.0, seconds: 2.0 },
            ],
            moments: (1..12).map(moment).collect(),
            assertions: vec![
                assertion("below.success", State::Held),
                assertion("overload.p99", State::Broken),
            ],
            ..View::default()
        }
    }

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, "said last")).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn phases_plots_and_assertions_are_shown() {
        let text = drawn(&view(), 120, 36);
        for expected in [
            "0.7x below 700/s",
            "✓ below.success",
            "✗ overload.p99",
            "requests a second",
            "said last",
            "10 ms",
            "█",
            "░",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_tiny_terminal_and_a_trial_of_nothing_are_drawn_too() {
        drawn(&view(), 1, 1);
        drawn(&view(), 30, 6);
        drawn(&View::default(), 80, 24);
    }
}
