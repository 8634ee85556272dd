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
}
