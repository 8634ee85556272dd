//! What the registry shows of a named map while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::registry::{self, Kind, Registration, Snapshot};
use crate::{Invalid, Name};

/// The largest limit of a map.
const LIMIT_MAX: usize = 1 << 24;

/// What was set for a map: refused, or taken as it is, when it begins.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) limit: usize,
    pub(super) name: Option<Box<str>>,
}

impl Settings {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, name: None }
    }

    /// The name, and the numbers to show if it was given one.
    pub(super) fn check(&self) -> Result<(Name, Option<Arc<Gauge>>), Invalid> {
        let name = self.name.as_deref().map_or(Ok(Name::UNNAMED), Name::new)?;
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Invalid::new(name, "limit", self.limit, "1 to 16,777,216"));
        }
        Ok((name, self.name.is_some().then(|| Gauge::registered(name, self.limit))))
    }
}

pub(super) struct Gauge {
    name: Name,
    limit: usize,
    admitted: AtomicU64,
    in_use: AtomicU64,
    high_water: AtomicU64,
    failed: AtomicU64,
    _registration: Registration,
}

impl Gauge {
    fn registered(name: Name, limit: usize) -> Arc<Self> {
        Arc::new_cyclic(|gauge: &Weak<Self>| Self {
            name,
            limit,
            admitted: AtomicU64::new(0),
            in_use: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            _registration: registry::register(gauge.clone()),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Flight {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        let in_use = self.in_use.fetch_add(1, Ordering::Relaxed) + 1;
        self.high_water.fetch_max(in_use, Ordering::Relaxed);
        Flight(Arc::clone(self))
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl registry::Bound for Gauge {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            limit: self.limit as u64,
            in_use: self.in_use.load(Ordering::Relaxed),
            high_water: self.high_water.load(Ordering::Relaxed),
            admitted: self.admitted.load(Ordering::Relaxed),
            details: vec![("failed", self.failed.load(Ordering::Relaxed))],
            ..Snapshot::new(self.name, Kind::Map)
        }
    }
}

/// One item of a named map, in flight.
pub(super) struct Flight(Arc<Gauge>);

impl Flight {
    pub(super) fn failed(&self) {
        self.0.failed();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}
