//! The Prometheus page.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::bounds::Bounds;
use super::process::Process;
use crate::error::ApiError;

/// Every number of the process: its bounds, itself, and what its systems register.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The type of the page.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The bounds of the library's registry and the numbers of the process.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Bounds));
        registry.register_collector(Box::new(Process::started_now()));
        Self { registry }
    }

    /// For a system's own metrics. Labels must come from code or configuration, never from
    /// requests: a page must not grow with the number of customers.
    pub const fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Adds numbers that are gathered when the page is asked for.
    pub fn collect(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// The page in the format that the caller accepts: `OpenMetrics` where it says so, else the text
    /// format of Prometheus.
    ///
    /// # Errors
    /// 500 when a collector fails.
    pub fn page_for(&self, accept: &str) -> Result<Page, ApiError> {
        let text = self.page()?;
        if accept.contains("application/openmetrics-text") {
            return Ok(Page { content_type: Self::CONTENT_TYPE, text });
        }
        Ok(Page { content_type: "text/plain; version=0.0.4; charset=utf-8", text: plain(&text) })
    }

    /// The page, as its [type](Self::CONTENT_TYPE) wants it.
    ///
    /// # Errors
    /// 500 when a collector fails.
    pub fn page(&self) -> Result<String, ApiError> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).map_err(|fmt::Error| {
            tracing::error!("a collector failed to encode its metrics");
            ApiError::internal("The metrics cannot be shown")
        })?;
        Ok(page)
    }
}

/// A page and its format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The format.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

/// The page in the older format, in which the name of a counter is that of its samples, and where a
/// unit is part of the name alone.
fn plain(page: &str) -> String {
    let mut plain = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(of) = line.strip_prefix("# HELP ") {
            // What it is of is known by the next line.
            help = of.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|of| of.split_once(' ')) {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                plain.push_str(&format!("# HELP {name}{total} {help}\n"));
            }
            plain.push_str(&format!("# TYPE {name}{total} {kind}\n"));
        } else if !line.starts_with("# ") {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use plimsoll::semaphore::Semaphore;

    use super::*;

    #[test]
    fn the_page_has_every_bound_once_and_ends_as_the_format_wants() {
        let one = Semaphore::builder("metrics-test").limit(3).build().unwrap();
        let two = Semaphore::builder("metrics-test").limit(4).build().unwrap();
        let (_held, refused) = (one.try_acquire_many(3).unwrap(), one.try_acquire());
        assert!(refused.is_err());
        let page = Metrics::new().page().unwrap();
        let mut series: Vec<_> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        let count = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), count, "no series twice");
        for line in [
            r#"plimsoll_bound_limit{bound="metrics-test",kind="semaphore"} 7"#,
            r#"plimsoll_bound_in_use{bound="metrics-test",kind="semaphore"} 3"#,
            r#"plimsoll_bound_rejected_total{bound="metrics-test",kind="semaphore"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
        drop(two);
    }

    #[test]
    fn the_page_tells_of_the_process() {
        let page = Metrics::new().page().unwrap();
        for name in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_threads ",
            "process_cpu_seconds_total ",
            "process_uptime_seconds ",
        ] {
            let line = page.lines().find(|line| line.starts_with(name));
            let value: f64 =
                line.unwrap_or_else(|| panic!("{name} in\n{page}"))[name.len()..].parse().unwrap();
            assert!(value >= 0.0, "{name}");
        }
    }

    #[test]
    fn who_does_not_ask_for_openmetrics_gets_the_older_format_of_the_same() {
        let metrics = Metrics::new();
        let new = metrics.page_for("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").unwrap();
        assert_eq!(new.content_type, Metrics::CONTENT_TYPE);
        let old = metrics.page_for("*/*").unwrap();
        assert!(old.content_type.starts_with("text/plain; version=0.0.4"));
        for line in ["# TYPE process_cpu_seconds_total counter", "# TYPE process_open_fds gauge"] {
            assert!(old.text.lines().any(|found| found == line), "{line} in\n{}", old.text);
        }
        assert!(!old.text.contains("# EOF") && !old.text.contains("# UNIT"));
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples(&old.text), samples(&new.text));
    }
}
