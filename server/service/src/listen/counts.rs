//! What happened on the listeners, in numbers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

const STATUS_MIN: u16 = 100;
const STATUSES: usize = 500;

/// Counts of all listeners of a process: responses by status, and what went wrong; cheap to clone.
#[derive(Clone)]
pub struct Counts(Arc<Inner>);

struct Inner {
    // A status is a number from 100 to 599: as a label it is bounded.
    responses: [AtomicU64; STATUSES],
    accept_errors: AtomicU64,
    connection_errors: AtomicU64,
    panics: AtomicU64,
}

impl Counts {
    /// All are zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            responses: [const { AtomicU64::new(0) }; STATUSES],
            accept_errors: AtomicU64::new(0),
            connection_errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }))
    }

    /// Connections that the system could not hand over.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.0.accept_errors.load(Ordering::Relaxed)
    }

    /// Connections that ended otherwise than they should: cut, too slow, not HTTP.
    #[must_use]
    pub fn connection_errors(&self) -> u64 {
        self.0.connection_errors.load(Ordering::Relaxed)
    }

    /// Handlers that panicked, each answered with 500.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// Responses with this status.
    #[must_use]
    pub fn responses(&self, status: StatusCode) -> u64 {
        let at = usize::from(status.as_u16() - STATUS_MIN);
        self.0.responses.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn response(&self, status: StatusCode) {
        if let Some(count) = self.0.responses.get(usize::from(status.as_u16() - STATUS_MIN)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn accept_error(&self) {
        self.0.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_error(&self) {
        self.0.connection_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn panic(&self) {
        self.0.panics.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts")
            .field("accept_errors", &self.accept_errors())
            .field("connection_errors", &self.connection_errors())
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = ("plimsoll_http_responses", "Responses by status");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (at, count) in self.0.responses.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("status", (at + usize::from(STATUS_MIN)).to_string())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let counters = [
            ("plimsoll_http_accept_errors", "Connections not handed over", self.accept_errors()),
            ("plimsoll_http_connection_errors", "Connections cut or not HTTP", self.connection_errors()),
            ("plimsoll_http_panics", "Handlers that panicked", self.panics()),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
