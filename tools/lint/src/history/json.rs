use serde_json::{Map, Value, json};

use super::survey::{History, Tally};

/// Raised when a field changes its meaning or goes.
const VERSION: u32 = 1;

impl History {
    /// The same for a program.
    pub fn to_json(&self) -> Value {
        let points = self.points.iter().map(|point| {
            let rules: Map<String, Value> =
                point.rules.iter().map(|(rule, tally)| (rule.code().to_owned(), counts(*tally))).collect();
            json!({
                "month": point.month.to_string(),
                "commit": point.commit,
                "files": point.files,
                "not_judged": point.not_judged,
                "all": counts(point.all()),
                "rules": rules,
            })
        });
        json!({ "version": VERSION, "shallow": self.shallow, "months": points.collect::<Vec<_>>() })
    }
}

fn counts(tally: Tally) -> Value {
    let Tally { high, medium, low, tests } = tally;
    json!({ "high": high, "medium": medium, "low": low, "tests": tests })
}
