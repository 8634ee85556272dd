//! How much may be pending of one application, and when there is room again.
//!
//! What was accepted is never dropped: the bound is at the door. It is asked twice: here, by what is
//! durable, so that refusing costs no commit; and by the store in the commit itself, so that many
//! requests at once do not pass together.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use plimsoll::Name;
use plimsoll::registry::{self, Bound, Kind, Registration, Snapshot};
use plimsoll_service::error::InTheWay;
use plimsoll_store::{AppId, Backlog, NewMessage, Store};

use crate::policy::Policies;
use crate::routing::AppRoute;

/// Who is refused is told to come back when this share of the bound is free, so that it then finds
/// room for more than one message.
const ROOM: u64 = 100;
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Also where nothing drains.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// The bound on what is pending of one application.
pub(crate) struct BacklogBound {
    name: Name,
    policies: Arc<Policies>,
    store: Store,
    admitted: AtomicU64,
    refused: AtomicU64,
    _registration: Registration,
}

/// What a message adds, and to how much at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    deliveries: u64,
    max: u64,
}

impl Asked {
    pub(crate) const fn of(new: &NewMessage) -> Self {
        Self { deliveries: new.deliveries, max: new.backlog_max }
    }
}

/// A message that was refused because too much of its application is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    app: AppId,
    max: u64,
    pending: u64,
    deliveries: u64,
    pub(crate) retry_after: Duration,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, max, pending, deliveries, retry_after } = self;
        let seconds = retry_after.as_secs();
        write!(
            f,
            "hooks.tenant_backlog_max: {app} has {pending} of {max} deliveries pending, \
             {deliveries} more are too many; try again in {seconds} s"
        )
    }
}

impl Refused {
    /// The bound, for programs.
    pub(crate) fn bound(&self) -> InTheWay {
        InTheWay::new("hooks.tenant_backlog").with_use(self.max, self.pending)
    }
}

impl BacklogBound {
    pub(crate) fn new(policies: Arc<Policies>, store: Store) -> Result<Arc<Self>, plimsoll::Invalid> {
        let name = Name::new("hooks.tenant_backlog")?;
        Ok(Arc::new_cyclic(|this: &Weak<Self>| Self {
            name,
            policies,
            store,
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            _registration: registry::register(this.clone()),
        }))
    }

    /// How many deliveries of one application may be pending, where its policy says nothing else.
    pub(crate) fn max(&self) -> u64 {
        self.policies.table().defaults().backlog_max
    }

    /// How many deliveries of this application may be pending.
    pub(crate) fn max_of(&self, app: &AppRoute) -> u64 {
        self.policies.of(app).backlog_max
    }

    /// Refuses a message by what is durable now; what is on its way through its commit is not
    /// counted yet.
    pub(crate) fn admit(&self, new: &NewMessage) -> Result<(), Refused> {
        let backlog = self.store.backlog(new.message.app);
        if new.is_too_much_beside(backlog.deliveries) {
            return Err(self.refusal(new.message.app, Asked::of(new), backlog.deliveries));
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What was asked for was refused beside what is pending.
    pub(crate) fn refusal(&self, app: AppId, asked: Asked, pending: u64) -> Refused {
        let Asked { deliveries, max } = asked;
        self.refused.fetch_add(1, Ordering::Relaxed);
        let backlog = Backlog { deliveries: pending, ..self.store.backlog(app) };
        let retry_after = retry_after(max, deliveries, backlog);
        Refused { app, max, pending, deliveries, retry_after }
    }

    /// Messages that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Bound for BacklogBound {
    fn snapshot(&self) -> Snapshot {
        let all = self.store.backlogs();
        let mut snapshot = Snapshot::new(self.name, Kind::Custom);
        snapshot.limit = self.max();
        // The one that is nearest to the bound.
        snapshot.in_use = all.deliveries_max;
        snapshot.admitted = self.admitted.load(Ordering::Relaxed);
        snapshot.rejected = self.refused();
        snapshot.details = vec![("applications", all.applications as u64), ("deliveries", all.deliveries)];
        snapshot
    }
}

/// How long until there is room, at the rate at which it drained of late.
fn retry_after(max: u64, deliveries: u64, backlog: Backlog) -> Duration {
    let over = backlog.deliveries.saturating_add(deliveries).saturating_sub(max).max(max / ROOM);
    let seconds = over as f64 / backlog.drained_per_second;
    if seconds.is_finite() && seconds < RETRY_AFTER_MAX.as_secs_f64() {
        Duration::from_secs(seconds.ceil() as u64).max(RETRY_AFTER_MIN)
    } else {
        RETRY_AFTER_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_comes_back_when_there_is_room() {
        let seconds = |deliveries, drained_per_second| {
            retry_after(1_000, 1, Backlog { deliveries, drained_per_second }).as_secs()
        };
        assert_eq!(seconds(1_000, 0.0), 60, "nothing drains");
        assert_eq!(seconds(1_000, 1e9), 1);
        assert_eq!(seconds(1_000, 2.0), 5, "room for a hundredth of the bound");
        assert_eq!(seconds(1_099, 10.0), 10, "all that is too much");
        assert_eq!(seconds(u64::MAX, 0.001), 60);
    }
}
