//! Reads what the server shows of itself on its admin listener.

use std::time::Duration;

use serde::Deserialize;

use super::server::Server;
use crate::client::Connection;

/// It is looked at between two drawings.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The counter of failed attempts that are to be tried again.
const RETRIED: &str = "hooks_attempts_retried_total";
/// The gauge of endpoints whose breaker is open.
const BREAKERS_OPEN: &str = "hooks_breakers_open";

/// What the server shows of itself on its admin listener.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct ServerView {
    /// Endpoints whose breaker is open; `None` where it does not say.
    pub(crate) breakers_open: Option<u64>,
    /// Retries that it made in this life; `None` where it does not say.
    pub(crate) retries: Option<u64>,
    /// Its bounds, in its order.
    pub(crate) bounds: Vec<BoundView>,
}

/// One bound of the server.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Deserialize)]
pub(crate) struct BoundView {
    /// Its name.
    pub(crate) name: String,
    /// What kind of bound it is.
    pub(crate) kind: String,
    /// The limit in force; `None` where everything is admitted.
    pub(crate) limit: Option<u64>,
    /// How much of it is in use.
    pub(crate) in_use: u64,
    /// How many wait.
    #[serde(default)]
    pub(crate) waiting: u64,
}

/// Connections to the admin listener of one life of the server.
pub(crate) struct Admin {
    open: Connection,
    debug: Connection,
}

#[derive(Deserialize)]
struct Bounds {
    bounds: Vec<BoundView>,
}

impl Admin {
    /// To that server, as it listens now.
    pub(crate) fn new(server: &Server) -> Self {
        let connection = || Connection::new(server.admin, TIMEOUT);
        let debug = match server.admin_token() {
            Some(token) => connection().with_token(&token),
            None => connection(),
        };
        Self { open: connection(), debug }
    }

    /// What it shows; `None` where it does not answer.
    pub(crate) async fn view(&mut self) -> Option<ServerView> {
        let page = self.open.get("/metrics").await.ok().filter(|page| page.status.is_success())?;
        let page = String::from_utf8_lossy(&page.body);
        let bounds = self.debug.get("/debug/bounds").await.ok();
        let bounds = bounds.and_then(|answer| serde_json::from_slice(&answer.body).ok());
        Some(ServerView {
            breakers_open: sum_of(&page, BREAKERS_OPEN),
            retries: sum_of(&page, RETRIED),
            bounds: bounds.map_or_else(Vec::new, |bounds: Bounds| bounds.bounds),
        })
    }
}

/// The sum of all series of a metric; `None` where the page has none.
fn sum_of(page: &str, metric: &str) -> Option<u64> {
    let value = |line: &str| {
        let rest = line.strip_prefix("plimsoll_").unwrap_or(line).strip_prefix(metric)?;
        if !rest.starts_with([' ', '{']) {
            return None;
        }
        let value: f64 = rest.rsplit_once(' ')?.1.parse().ok()?;
        Some(value as u64)
    };
    page.lines().filter_map(value).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_without_a_limit_is_read_beside_the_others() {
        let page = r#"{"bounds": [
            {"name": "bank", "kind": "breaker", "limit": null, "in_use": 0, "waiting": 0},
            {"name": "uploads", "kind": "semaphore", "limit": 16, "in_use": 3, "waiting": 1}
        ]}"#;
        let Bounds { bounds } = serde_json::from_str(page).unwrap();
        assert_eq!((bounds[0].limit, bounds[1].limit), (None, Some(16)));
    }

    #[test]
    fn the_series_of_a_metric_are_added_up_and_others_are_left_alone() {
        let page = "# TYPE a gauge\na{x=\"1 2\"} 3\na{x=\"2\"} 4.0\na_b 9\nb 5\n";
        assert_eq!(sum_of(page, "a"), Some(7));
        assert_eq!(sum_of(page, "b"), Some(5));
        assert_eq!(sum_of(page, "c"), None);
    }
}
