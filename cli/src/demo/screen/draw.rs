//! The drawing itself: from a sample to cells.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, LineGauge, Sparkline};

use super::super::sample::{Rates, Sample};
use crate::stage::BoundView;
use crate::stage::number::{grouped, mebibytes, millis};

/// How many lines it takes.
pub(super) const HEIGHT: u16 = 14;
/// How many bounds are shown: the fullest.
const BOUNDS: usize = 5;
/// From here on a bound is drawn as full.
const FULL_RATIO: f64 = 0.9;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, sample: &Sample, rates: &Rates) {
    let title =
        if sample.up { " plimsoll demo ".bold() } else { " plimsoll demo: SERVER DOWN ".bold().red() };
    let block = Block::new()
        .borders(Borders::TOP)
        .title(title)
        .title(Line::from(format!(" {:.1} s ", sample.at.as_secs_f64())).right_aligned());
    let inside = block.inner(frame.area());
    frame.render_widget(block, frame.area());
    let [numbers, flow, bounds] =
        Layout::vertical([Constraint::Length(4), Constraint::Length(3), Constraint::Fill(1)]).areas(inside);
    draw_numbers(frame, numbers, sample, rates);
    draw_flow(frame, flow, rates);
    draw_bounds(frame, bounds, &sample.server.bounds);
}

fn draw_numbers(frame: &mut Frame<'_>, area: Rect, sample: &Sample, rates: &Rates) {
    let (accepted, delivered) = rates.now();
    let fleet = &sample.fleet;
    let breakers = sample.server.breakers_open.map_or_else(|| "-".to_owned(), |open| open.to_string());
    let good = |right: bool| if right { Color::Green } else { Color::Red };
    let rows = [
        Line::from(vec![
            label("accepted"),
            number(&grouped(sample.sent.accepted)),
            rate(accepted),
            label("sent again"),
            number(&grouped(sample.sent.refused + sample.sent.unknown + sample.sent.not_admitted)),
        ]),
        Line::from(vec![
            label("delivered"),
            number(&grouped(fleet.healthy + fleet.slow)),
            rate(delivered),
            label("backlog"),
            number(&grouped(sample.backlog)),
        ]),
        Line::from(vec![
            label("healthy p50"),
            number(&millis(sample.recent.p50_ms)),
            Span::raw(" ".repeat(RATE_WIDTH)),
            label("p99"),
            number(&millis(sample.recent.p99_ms)),
        ]),
        Line::from(vec![
            label("breakers open"),
            number(&breakers),
            Span::raw(" ".repeat(RATE_WIDTH)),
            label("memory"),
            number(&mebibytes(sample.rss_peak)),
            Span::styled(
                format!("   duplicates {}  bad signatures {}", fleet.duplicates, fleet.bad_signatures),
                Style::new().fg(good(fleet.bad_signatures == 0)),
            ),
        ]),
    ];
    for (row, line) in area.rows().zip(rows) {
        frame.render_widget(line, row);
    }
}

fn draw_flow(frame: &mut Frame<'_>, area: Rect, rates: &Rates) {
    let [name, flow] = Layout::horizontal([Constraint::Length(16), Constraint::Fill(1)]).areas(area);
    frame.render_widget(label("delivered/s"), name);
    let history = rates.history();
    let newest = history.len().saturating_sub(usize::from(flow.width));
    let sparkline = Sparkline::default().data(&history[newest..]).style(Style::new().fg(Color::Cyan));
    frame.render_widget(sparkline, flow);
}

/// The load lines: how deep each bound is in use.
fn draw_bounds(frame: &mut Frame<'_>, area: Rect, bounds: &[BoundView]) {
    // A group owns tasks, most of them there for as long as the server: how full it is says little.
    let mut fullest: Vec<_> = bounds
        .iter()
        .filter(|bound| bound.kind != "group")
        .filter_map(|bound| Some((bound, bound.limit.filter(|limit| *limit > 0)?)))
        .map(|(bound, limit)| (bound, limit, (bound.in_use as f64 / limit as f64).clamp(0.0, 1.0)))
        .collect();
    fullest.sort_by(|(.., a), (.., b)| b.total_cmp(a));
    for (row, (bound, limit, fill)) in area.rows().zip(fullest.into_iter().take(BOUNDS)) {
        let [name, line, numbers] =
            Layout::horizontal([Constraint::Length(28), Constraint::Fill(1), Constraint::Length(30)])
                .areas(row);
        frame.render_widget(Span::styled(bound.name.clone(), Style::new().dim()), name);
        let colour = if fill >= FULL_RATIO { Color::Red } else { Color::Green };
        let gauge = LineGauge::default()
            .ratio(fill)
            .label("")
            .filled_symbol(symbols::line::THICK_HORIZONTAL)
            .unfilled_symbol(symbols::line::HORIZONTAL)
            .filled_style(Style::new().fg(colour))
            .unfilled_style(Style::new().dim());
        frame.render_widget(gauge, line);
        let waiting = if bound.waiting > 0 { format!(", {} wait", bound.waiting) } else { String::new() };
        frame.render_widget(format!(" {} of {}{waiting}", grouped(bound.in_use), grouped(limit)), numbers);
    }
}

const RATE_WIDTH: usize = 12;

fn label(text: &str) -> Span<'static> {
    Span::styled(format!("{text:<16}"), Style::new().dim())
}

fn number(text: &str) -> Span<'static> {
    Span::styled(format!("{text:>12}"), Style::new().bold())
}

fn rate(rate: f64) -> Span<'static> {
    Span::raw(format!("{:<RATE_WIDTH$}", format!("  {rate:.0}/s")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::load::Sent;
    use super::*;
    use crate::receiver::Stats;
    use crate::stage::ServerView;

    fn drawn(sample: &Sample, width: u16) -> String {
        let mut rates = Rates::default();
        rates.add(sample);
        let mut terminal = Terminal::new(TestBackend::new(width, HEIGHT)).unwrap();
        terminal.draw(|frame| draw(frame, sample, &rates)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_numbers_and_the_fullest_bounds_are_shown() {
        let bound = |name: &str, in_use, limit, waiting| BoundView {
            name: name.into(),
            kind: if name == "tasks" { "group" } else { "semaphore" }.into(),
            limit: (name != "unlimited").then_some(limit),
            in_use,
            waiting,
        };
        let mut bounds = vec![
            bound("fullest", 99, 100, 7),
            bound("unlimited", 5, 0, 0),
            bound("shut", 0, 0, 0),
            bound("tasks", 9, 10, 0),
        ];
        bounds.extend((0..8).map(|number| bound(&format!("bound-{number}"), number, 100, 0)));
        let sample = Sample {
            at: Duration::from_secs(3),
            sent: Sent { accepted: 1_234, refused: 5, ..Sent::default() },
            fleet: Stats { healthy: 9_000, slow: 87, duplicates: 2, ..Stats::default() },
            server: ServerView { breakers_open: Some(4), retries: None, bounds },
            up: true,
            ..Sample::default()
        };
        let text = drawn(&sample, 110);
        for expected in ["1,234", "9,087", "duplicates 2", "fullest", "99 of 100, 7 wait", "bound-7", "3.0 s"]
        {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(
            !text.contains("unlimited")
                && !text.contains("shut")
                && !text.contains("tasks")
                && !text.contains("bound-1")
                && !text.contains("DOWN"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_is_down_and_a_narrow_terminal_are_drawn_too() {
        assert!(drawn(&Sample::default(), 80).contains("SERVER DOWN"));
        drawn(&Sample::default(), 1);
    }
}
