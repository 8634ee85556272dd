//! What became of requests, counted, and how long they took.

use std::ops::AddAssign;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told apart, in microseconds: an hour. Longer ones count as this long.
const MICROS_MAX: u64 = 3_600_000_000;

/// What became of one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An answer of 2xx.
    Success,
    /// An answer of 3xx; redirects are not followed.
    Redirected,
    /// 429 with `Retry-After`.
    TooManyTold,
    /// 429 that does not say when to come again.
    TooManyUntold,
    /// 503 with `Retry-After`.
    UnavailableTold,
    /// 503 that does not say when to come again.
    UnavailableUntold,
    /// Another answer of 4xx.
    ClientError,
    /// Another answer of 5xx.
    ServerError,
    /// Sent, and no whole answer within the deadline.
    TimedOut,
    /// Not sent: all connections were in use until its deadline.
    WaitedOut,
    /// No connection could be opened for it.
    NotConnected,
    /// The connection ended before the answer was whole.
    Cut,
    /// An answer that is no HTTP, or larger than is read.
    Malformed,
    /// Not sent: the line of those that wait for a connection was full.
    Unsent,
    /// Not sent, by the generator's own doing: as many connections were in use as it may have, or as
    /// the machine gives it, until the deadline or until the line was full; or it came too late itself.
    Withheld,
}

/// How many requests came to what.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts([u64; Class::ALL.len()]);

/// What became of some requests, and how long they took, in microseconds.
#[derive(Clone, Debug)]
pub struct Tally {
    /// What they came to.
    pub counts: Counts,
    /// Bytes of all answers, heads included.
    pub bytes_read: u64,
    /// Of those answered with 2xx: from the intended send to the last byte of the answer.
    pub latency: Histogram<u64>,
    /// Of the same: from the actual send. What a tool with coordinated omission would show.
    pub service: Histogram<u64>,
    /// Of those answered with 429 or 503: from the intended send.
    pub refused: Histogram<u64>,
    /// Of all others that were sent, those without an answer among them: from the intended send.
    pub failed: Histogram<u64>,
    /// Those that were due, in line or under way when the run was ended before its time: how long they
    /// had been due then. They came to nothing, and are not among the counts.
    pub unfinished: Histogram<u64>,
}

/// A tally of one tenant.
#[derive(Clone, Debug)]
pub struct TenantTally {
    /// What its requests came to.
    pub counts: Counts,
    /// Of those answered with 2xx: from the intended send to the last byte, in microseconds.
    pub latency: Histogram<u64>,
    /// How many were due, in line or under way when the run was ended before its time.
    pub unfinished: u64,
}

/// A distribution in few numbers, in microseconds; all are 0 of none.
#[derive(Clone, Copy, PartialEq, Default, Debug, serde::Serialize)]
pub struct Quantiles {
    /// How many there are.
    pub count: u64,
    /// Their mean.
    pub mean_micros: f64,
    /// The median.
    pub p50_micros: u64,
    /// The 90th percentile.
    pub p90_micros: u64,
    /// The 99th percentile.
    pub p99_micros: u64,
    /// The 99.9th percentile.
    pub p999_micros: u64,
    /// The largest.
    pub max_micros: u64,
}

/// A tally in few numbers.
#[derive(Clone, Copy, PartialEq, Default, Debug, serde::Serialize)]
pub struct Summary {
    /// What they came to.
    pub counts: Counts,
    /// Bytes of all answers.
    pub bytes_read: u64,
    /// From the intended send, of successes.
    pub latency: Quantiles,
    /// From the actual send, of successes.
    pub service: Quantiles,
    /// From the intended send, of 429 and 503.
    pub refused: Quantiles,
    /// From the intended send, of the others that were sent.
    pub failed: Quantiles,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Success,
        Self::Redirected,
        Self::TooManyTold,
        Self::TooManyUntold,
        Self::UnavailableTold,
        Self::UnavailableUntold,
        Self::ClientError,
        Self::ServerError,
        Self::TimedOut,
        Self::WaitedOut,
        Self::NotConnected,
        Self::Cut,
        Self::Malformed,
        Self::Unsent,
        Self::Withheld,
    ];

    /// The class of a whole answer.
    #[must_use]
    pub fn of(status: u16, retry_after: RetryAfter) -> Self {
        match (status, retry_after) {
            (200..=299, _) => Self::Success,
            (300..=399, _) => Self::Redirected,
            (429, RetryAfter::Told) => Self::TooManyTold,
            (429, RetryAfter::Untold) => Self::TooManyUntold,
            (503, RetryAfter::Told) => Self::UnavailableTold,
            (503, RetryAfter::Untold) => Self::UnavailableUntold,
            (400..=499, _) => Self::ClientError,
            (500..=599, _) => Self::ServerError,
            _ => Self::Malformed,
        }
    }

    /// As JSON and tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Redirected => "redirected",
            Self::TooManyTold => "too_many_told",
            Self::TooManyUntold => "too_many_untold",
            Self::UnavailableTold => "unavailable_told",
            Self::UnavailableUntold => "unavailable_untold",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::TimedOut => "timed_out",
            Self::WaitedOut => "waited_out",
            Self::NotConnected => "not_connected",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Unsent => "unsent",
            Self::Withheld => "withheld",
        }
    }

    /// Whether it is 429 or 503.
    #[must_use]
    pub const fn is_refused(self) -> bool {
        matches!(
            self,
            Self::TooManyTold | Self::TooManyUntold | Self::UnavailableTold | Self::UnavailableUntold
        )
    }
}

/// Whether an answer says when to come again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// It has a header `Retry-After`.
    Told,
    /// It has none.
    Untold,
}

impl Counts {
    /// One more of this class.
    pub fn add(&mut self, class: Class) {
        self.0[class as usize] += 1;
    }

    /// How many there are of this class.
    #[must_use]
    pub const fn of(&self, class: Class) -> u64 {
        self.0[class as usize]
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Answers of 2xx.
    #[must_use]
    pub const fn success(&self) -> u64 {
        self.of(Class::Success)
    }

    /// The share of successes in all requests, those that were not sent among them; `None` of none.
    #[must_use]
    pub fn success_ratio(&self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.success() as f64 / total as f64)
    }

    /// Answers of 429 or 503.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused_told() + self.of(Class::TooManyUntold) + self.of(Class::UnavailableUntold)
    }

    /// Those of them that say when to come again.
    #[must_use]
    pub const fn refused_told(&self) -> u64 {
        self.of(Class::TooManyTold) + self.of(Class::UnavailableTold)
    }

    /// Requests that got a whole answer, of whatever status.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.success()
            + self.of(Class::Redirected)
            + self.refused()
            + self.of(Class::ClientError)
            + self.of(Class::ServerError)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

impl serde::Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Class::ALL.map(|class| (class.name(), self.of(class))))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            bytes_read: 0,
            latency: histogram(3),
            service: histogram(3),
            refused: histogram(2),
            failed: histogram(2),
            unfinished: histogram(2),
        }
    }
}

impl Default for TenantTally {
    fn default() -> Self {
        Self { counts: Counts::default(), latency: histogram(2), unfinished: 0 }
    }
}

impl Tally {
    /// One request that was sent, or should have been: `latency` from the intended send, `service`
    /// from the actual one.
    pub(crate) fn record(&mut self, class: Class, latency: Duration, service: Duration) {
        self.counts.add(class);
        match class {
            Class::Success => {
                self.latency.saturating_record(micros(latency));
                self.service.saturating_record(micros(service));
            }
            Class::Unsent | Class::Withheld => {}
            class if class.is_refused() => self.refused.saturating_record(micros(latency)),
            _ => self.failed.saturating_record(micros(latency)),
        }
    }

    /// One that the end of the run left undone, so long after it was due.
    pub(crate) fn leave(&mut self, age: Duration) {
        self.unfinished.saturating_record(micros(age));
    }

    /// How many were due: what came to something, and what was left undone.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.counts.total() + self.unfinished.len()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.counts += other.counts;
        self.bytes_read += other.bytes_read;
        add(&mut self.latency, &other.latency);
        add(&mut self.service, &other.service);
        add(&mut self.refused, &other.refused);
        add(&mut self.failed, &other.failed);
        add(&mut self.unfinished, &other.unfinished);
    }

    /// In few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            counts: self.counts,
            bytes_read: self.bytes_read,
            latency: Quantiles::of(&self.latency),
            service: Quantiles::of(&self.service),
            refused: Quantiles::of(&self.refused),
            failed: Quantiles::of(&self.failed),
        }
    }
}

impl TenantTally {
    pub(crate) fn record(&mut self, class: Class, latency: Duration) {
        self.counts.add(class);
        if class == Class::Success {
            self.latency.saturating_record(micros(latency));
        }
    }

    /// How many were due: what came to something, and what was left undone.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.counts.total() + self.unfinished
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.counts += other.counts;
        self.unfinished += other.unfinished;
        add(&mut self.latency, &other.latency);
    }
}

impl Quantiles {
    /// Of a histogram of microseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean_micros: histogram.mean(),
            p50_micros: histogram.value_at_quantile(0.5),
            p90_micros: histogram.value_at_quantile(0.9),
            p99_micros: histogram.value_at_quantile(0.99),
            p999_micros: histogram.value_at_quantile(0.999),
            max_micros: histogram.max(),
        }
    }
}

/// An empty histogram of microseconds, up to an hour, of so many significant digits.
pub(crate) fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, digits).expect("the bounds are constant and valid")
}

pub(crate) fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

pub(crate) fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    if !from.is_empty() {
        to.add(from).expect("both have the same bounds");
    }
}
