//! Rows, for a person and for a program.

use serde::Serialize;

use crate::pair::Pair;
use crate::versions;

/// The head of the table.
pub(crate) const HEAD: &str = "operation                     ours ns    peer ns   ratio    goal  gated  peer";

/// A row.
#[derive(Serialize)]
pub(crate) struct Row {
    op: &'static str,
    ours_ns: f64,
    peer: &'static str,
    peer_version: &'static str,
    peer_ns: f64,
    ratio: f64,
    goal: f64,
    gated: bool,
}

impl Row {
    pub(crate) fn new(pair: &Pair, ours_ns: f64, peer_ns: f64) -> Self {
        Self {
            op: pair.op,
            ours_ns: rounded(ours_ns, 10.0),
            peer: pair.peer,
            peer_version: versions::of(pair.peer).unwrap_or("unknown"),
            peer_ns: rounded(peer_ns, 10.0),
            ratio: rounded(ours_ns / peer_ns, 1_000.0),
            goal: pair.goal,
            gated: pair.gated,
        }
    }

    /// Whether it decides, and decides against us.
    pub(crate) fn is_over(&self) -> bool {
        self.gated && self.ratio > self.goal
    }

    /// One object in one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("strings and finite numbers are always JSON")
    }

    /// One line of the table.
    pub(crate) fn text(&self) -> String {
        let Self { op, ours_ns, peer, peer_version, peer_ns, ratio, goal, gated } = self;
        let gated = match (gated, self.is_over()) {
            (false, _) => "no",
            (true, false) => "yes",
            (true, true) => "OVER",
        };
        format!(
            "{op:<28}{ours_ns:>9.1}  {peer_ns:>9.1}  {ratio:>6.2}  {goal:>6.2}  {gated:<5}  {peer} {peer_version}"
        )
    }
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, gated: bool) -> Row {
        let pair = crate::pair::all().next().expect("there are pairs");
        Row::new(&Pair { gated, goal: 1.0, ..*pair }, ours, 10.0)
    }

    #[test]
    fn only_a_gated_row_over_its_goal_decides() {
        assert!(row(10.1, true).is_over());
        assert!(!row(10.0, true).is_over());
        assert!(!row(99.0, false).is_over());
    }

    #[test]
    fn an_object_has_the_fields_in_their_order() {
        let json = row(5.0, true).json();
        let fields = ["op", "ours_ns", "peer", "peer_version", "peer_ns", "ratio", "goal", "gated"];
        let places: Vec<_> = fields.map(|field| json.find(&format!("\"{field}\":"))).into();
        assert!(places.is_sorted() && places[0].is_some(), "{json}");
    }
}
