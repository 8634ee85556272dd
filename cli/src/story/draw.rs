//! The drawing: the code on the left, the memory of both on the right, the numbers below.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};

use super::play::{ENDPOINTS, MEMORY_BYTES};
use super::sample::{Sample, Side};
use super::screen::code;
use crate::stage::number::{grouped, mebibytes};

/// How many lines it takes.
pub(super) const HEIGHT: u16 = 21;
/// Its longest line, and a space.
const CODE_WIDTH: u16 = 68;
/// The time axis is at least this long.
const SECONDS_MIN: f64 = 20.0;
const NAIVE: Color = Color::Red;
const OURS: Color = Color::Green;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, sample: &Sample) {
    let block = Block::new()
        .borders(Borders::TOP)
        .title(" plimsoll demo --story ".bold())
        .title(Line::from(format!(" {:.1} s ", sample.at.as_secs_f64())).right_aligned());
    let inside = block.inner(frame.area());
    frame.render_widget(block, frame.area());
    let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(3)]).areas(inside);
    let [left, right] = Layout::horizontal([Constraint::Max(CODE_WIDTH), Constraint::Min(36)]).areas(above);
    draw_code(frame, left);
    draw_memory(frame, right, sample);
    draw_numbers(frame, below, sample);
}

fn draw_code(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = code()
        .map(|line| match line.contains("tokio::spawn") {
            true => Line::styled(line, Style::new().fg(NAIVE).bold()),
            false => Line::styled(line, Style::new().dim()),
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_memory(frame: &mut Frame<'_>, area: Rect, sample: &Sample) {
    let limit = MEMORY_BYTES as f64 / f64::from(1 << 20);
    let seconds = sample.at.as_secs_f64().max(SECONDS_MIN);
    let line = [(0.0, limit), (seconds, limit)];
    let set = |name: &'static str, colour: Color, data| {
        let set = Dataset::default().name(name).marker(Marker::Braille).graph_type(GraphType::Line);
        set.style(Style::new().fg(colour)).data(data)
    };
    let chart = Chart::new(vec![
        set("the limit", Color::DarkGray, &line),
        set("without a bound", NAIVE, &sample.history.naive),
        set("plimsoll", OURS, &sample.history.ours),
    ])
    .x_axis(Axis::default().bounds([0.0, seconds]).labels(["0 s".to_owned(), format!("{seconds:.0} s")]))
    .y_axis(Axis::default().bounds([0.0, limit * 1.1]).labels(["0".to_owned(), mebibytes(MEMORY_BYTES)]));
    frame.render_widget(chart, area);
}

fn draw_numbers(frame: &mut Frame<'_>, area: Rect, sample: &Sample) {
    let head = ["", "memory", "at its peak", "said yes to", "delivered", "owes"];
    let rows = [
        row(head.map(str::to_owned), Style::new().dim()),
        row(numbers("without a bound", &sample.naive), Style::new().fg(NAIVE)),
        row(numbers("plimsoll", &sample.ours), Style::new().fg(OURS)),
    ];
    for (place, line) in area.rows().zip(rows) {
        frame.render_widget(line, place);
    }
}

fn numbers(name: &str, side: &Side) -> [String; 6] {
    let memory = if side.died_at.is_some() { "DEAD".to_owned() } else { mebibytes(side.rss_bytes) };
    [
        name.to_owned(),
        memory,
        mebibytes(side.rss_peak_bytes),
        grouped(side.accepted),
        grouped(side.delivered),
        grouped(side.owed(ENDPOINTS as u64)),
    ]
}

fn row([name, numbers @ ..]: [String; 6], style: Style) -> Line<'static> {
    let mut spans = vec![Span::styled(format!("{name:<16}"), style)];
    spans.extend(numbers.map(|number| Span::styled(format!("{number:>13}"), style)));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn the_code_the_memory_of_both_and_the_numbers_are_drawn() {
        let mut sample = Sample::default();
        for second in 0..8_u64 {
            sample.at = Duration::from_secs(second);
            sample.naive = Side {
                accepted: 4 * second,
                rss_bytes: second * (70 << 20),
                rss_peak_bytes: second * (70 << 20),
                ..Side::default()
            };
            sample.ours = Side { accepted: 4 * second, rss_bytes: 44 << 20, ..Side::default() };
            sample.remember();
        }
        sample.naive.died_at = Some(Duration::from_secs(7));
        let mut terminal = Terminal::new(TestBackend::new(120, HEIGHT)).unwrap();
        terminal.draw(|frame| draw(frame, &sample)).unwrap();
        let text = terminal.backend().to_string();
        for expected in
            ["tokio::spawn", "for endpoint in endpoints", "DEAD", "140,000", "256", "without a bound"]
        {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let mut narrow = Terminal::new(TestBackend::new(1, 1)).unwrap();
        narrow.draw(|frame| draw(frame, &sample)).unwrap();
    }
}
