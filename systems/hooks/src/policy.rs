//! How much each application may use: the defaults, and who differs from them.
//!
//! A [`Table`] is made once, checked whole, and never changed; a new one takes its place while the
//! system runs, and whoever goes by it looks at the version, which costs one load.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use plimsoll_store::{AppId, Org};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::routing::AppRoute;

/// How many may differ: a table is in memory, and each change of it makes a new one.
const ENTRIES_MAX: usize = 100_000;
/// First tries that may wait in memory for an endpoint, however few go to it at once.
const LANE_FIRST_TRIES_MIN: usize = 16;
/// A weight is how many deliveries a turn is.
const WEIGHT_MAX: u32 = 100;
/// What any number of deliveries at once may be.
const CONCURRENCY_MAX: u64 = 65_536;

/// What one application may use.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Policy {
    /// Deliveries at once.
    pub concurrency: usize,
    /// Deliveries at once to each of its endpoints.
    pub endpoint_concurrency: usize,
    /// Its share of its organisation's turns, beside the other applications of it.
    pub weight: u32,
    /// Its messages that wait in memory.
    pub window_messages: usize,
    /// Their bytes.
    pub window_bytes: usize,
    /// Deliveries that may be pending.
    pub backlog_max: u64,
    /// Which share of its deliveries at once may be retries.
    pub retry_share_ratio: f64,
}

impl Policy {
    /// How many first tries of each priority may wait in memory for one endpoint.
    pub(crate) fn lane_first_tries(&self) -> usize {
        self.endpoint_concurrency.max(LANE_FIRST_TRIES_MIN)
    }

    /// How many of its deliveries at once may be retries: one at the least.
    pub(crate) fn retries(&self) -> usize {
        share(self.concurrency, self.retry_share_ratio)
    }
}

/// A share of so many places: one at the least.
pub(crate) fn share(places: usize, ratio: f64) -> usize {
    ((places as f64 * ratio) as usize).clamp(1, places.max(1))
}

/// In what an application, or all of an organisation's, differ from the defaults.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Override {
    /// Deliveries at once.
    pub concurrency: Option<u64>,
    /// Deliveries at once to each of its endpoints.
    pub endpoint_concurrency: Option<u64>,
    /// Its share of the turns, 1 to 100. Of an organisation: its own, beside the other organisations.
    pub weight: Option<u32>,
    /// Messages that wait in memory.
    pub window_messages: Option<u64>,
    /// Their bytes.
    pub window_bytes: Option<u64>,
    /// Deliveries that may be pending.
    pub backlog_max: Option<u64>,
    /// Which share of its deliveries at once may be retries.
    pub retry_share_ratio: Option<f64>,
}

/// Who differs. Where several entries hold for an application, its id goes before its uid, and that
/// before its organisation, each field by itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Who {
    /// All applications of an organisation.
    Organisation(Org),
    /// The application with this id.
    App(AppId),
    /// The application of an organisation with this uid.
    Uid(Org, String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(org) => write!(f, "organisation {org}"),
            Self::App(app) => write!(f, "application {app}"),
            Self::Uid(org, uid) => write!(f, "application {uid} of {org}"),
        }
    }
}

/// What all policies must fit into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Deliveries at once, of all applications.
    pub concurrency: usize,
    /// Bytes of messages in memory, of all applications.
    pub window_bytes: usize,
    /// The largest message.
    pub payload_bytes_max: usize,
}

/// A policy that was refused: whose, which field, its value, and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    who: String,
    field: &'static str,
    value: String,
    allowed: String,
}

impl PolicyError {
    /// Whose it was, as [`Who`] is written; `all` where it was the defaults.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// What is wrong, without whose it is.
    #[must_use]
    pub fn problem(&self) -> String {
        format!("{} is {}, allowed is {}", self.field, self.value, self.allowed)
    }

    /// The field that was refused.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, field, value, allowed } = self;
        write!(f, "policy of {who}: {field} is {value}, allowed is {allowed}")
    }
}

impl std::error::Error for PolicyError {}

/// The policies of all applications at one time.
#[derive(Debug)]
pub struct Table {
    defaults: Policy,
    totals: Totals,
    organisations: HashMap<Org, Override>,
    apps: FxHashMap<AppId, Override>,
    uids: HashMap<(Org, String), Override>,
}

impl Table {
    /// Checks every entry, alone and with the defaults below it.
    ///
    /// # Errors
    /// With the first that is out of its range or does not fit with the others.
    pub fn new(
        defaults: Policy,
        totals: Totals,
        entries: impl IntoIterator<Item = (Who, Override)>,
    ) -> Result<Self, PolicyError> {
        fits("all".to_owned(), &defaults, &totals)?;
        let mut table = Self {
            defaults,
            totals,
            organisations: HashMap::new(),
            apps: FxHashMap::default(),
            uids: HashMap::new(),
        };
        let mut named = Vec::new();
        for (number, (who, change)) in entries.into_iter().enumerate() {
            if number == ENTRIES_MAX {
                let allowed = format!("at most {ENTRIES_MAX}");
                let value = format!("more than {ENTRIES_MAX}");
                return Err(PolicyError { who: "all".to_owned(), field: "overrides", value, allowed });
            }
            in_range(&who, &change)?;
            named.push(who.clone());
            match who {
                Who::Organisation(org) => drop(table.organisations.insert(org, change)),
                Who::App(app) => drop(table.apps.insert(app, change)),
                Who::Uid(org, uid) => drop(table.uids.insert((org, uid), change)),
            }
        }
        // With all of them in: what an application's own entry leaves out is its organisation's.
        for who in named {
            let policy = match &who {
                Who::Organisation(org) => table.organisation(org),
                Who::App(app) => apply(table.defaults, table.apps.get(app)),
                Who::Uid(org, uid) => {
                    apply(table.organisation(org), table.uids.get(&(Arc::clone(org), uid.clone())))
                }
            };
            fits(who.to_string(), &policy, &table.totals)?;
        }
        Ok(table)
    }

    /// What the application may use.
    pub(crate) fn of(&self, app: &AppRoute) -> Policy {
        if self.is_plain() {
            return self.defaults;
        }
        let by_uid = app.uid.as_ref().and_then(|uid| self.uids.get(&(Arc::clone(&app.org), uid.clone())));
        let policy = apply(apply(self.organisation(&app.org), by_uid), self.apps.get(&app.id));
        // Entries that fit alone may not fit together: the smaller holds.
        Policy { endpoint_concurrency: policy.endpoint_concurrency.min(policy.concurrency), ..policy }
    }

    /// The organisation's share of all turns.
    pub(crate) fn weight_of(&self, org: &Org) -> u32 {
        self.organisations.get(org).and_then(|change| change.weight).unwrap_or(1)
    }

    /// What holds for who does not differ.
    pub(crate) const fn defaults(&self) -> Policy {
        self.defaults
    }

    /// What all policies must fit into.
    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }

    fn is_plain(&self) -> bool {
        self.organisations.is_empty() && self.apps.is_empty() && self.uids.is_empty()
    }

    /// What an application of the organisation may use that has no entry of its own: the weight of
    /// an organisation is not that of its applications.
    fn organisation(&self, org: &Org) -> Policy {
        let change = self.organisations.get(org).map(|change| Override { weight: None, ..*change });
        apply(self.defaults, change.as_ref())
    }
}

pub(crate) fn apply(base: Policy, change: Option<&Override>) -> Policy {
    let Some(change) = change else { return base };
    let size = |value: Option<u64>, base: usize| {
        value.map_or(base, |value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    Policy {
        concurrency: size(change.concurrency, base.concurrency),
        endpoint_concurrency: size(change.endpoint_concurrency, base.endpoint_concurrency),
        weight: change.weight.unwrap_or(base.weight),
        window_messages: size(change.window_messages, base.window_messages),
        window_bytes: size(change.window_bytes, base.window_bytes),
        backlog_max: change.backlog_max.unwrap_or(base.backlog_max),
        retry_share_ratio: change.retry_share_ratio.unwrap_or(base.retry_share_ratio),
    }
}

fn in_range(who: &Who, change: &Override) -> Result<(), PolicyError> {
    let refuse = |field, value: String, allowed: String| {
        Err(PolicyError { who: who.to_string(), field, value, allowed })
    };
    for (field, value, max) in [
        ("concurrency", change.concurrency, CONCURRENCY_MAX),
        ("endpoint_concurrency", change.endpoint_concurrency, CONCURRENCY_MAX),
        ("weight", change.weight.map(u64::from), u64::from(WEIGHT_MAX)),
        ("window_messages", change.window_messages, 65_536),
        ("window_bytes", change.window_bytes, 1 << 30),
        ("backlog_max", change.backlog_max, 1_000_000_000_000),
    ] {
        if let Some(value) = value
            && !(1..=max).contains(&value)
        {
            return refuse(field, value.to_string(), format!("1 to {max}"));
        }
    }
    match change.retry_share_ratio {
        Some(ratio) if !(0.01..=1.0).contains(&ratio) => {
            refuse("retry_share_ratio", ratio.to_string(), "0.01 to 1".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the bounds of the tiers fit into one another.
fn fits(who: String, policy: &Policy, totals: &Totals) -> Result<(), PolicyError> {
    let pairs = [
        ("endpoint_concurrency", policy.endpoint_concurrency, "concurrency", policy.concurrency),
        ("concurrency", policy.concurrency, "hooks.concurrency", totals.concurrency),
        ("window_bytes", policy.window_bytes, "hooks.window_bytes_total", totals.window_bytes),
    ];
    for (field, value, above, most) in pairs {
        if value > most {
            let allowed = format!("at most {above}, which is {most}");
            return Err(PolicyError { who, field, value: value.to_string(), allowed });
        }
    }
    // A message that no window can hold would never be delivered.
    if policy.window_bytes < totals.payload_bytes_max {
        let least = totals.payload_bytes_max;
        let allowed = format!("at least hooks.payload_bytes_max, which is {least}");
        let value = policy.window_bytes.to_string();
        return Err(PolicyError { who, field: "window_bytes", value, allowed });
    }
    Ok(())
}

/// The table in force; replaced while others read it.
#[derive(Debug)]
pub(crate) struct Policies {
    table: RwLock<Arc<Table>>,
    version: AtomicU64,
    changed: Notify,
}

impl Policies {
    pub(crate) fn new(table: Table) -> Arc<Self> {
        let (table, version) = (RwLock::new(Arc::new(table)), AtomicU64::new(1));
        Arc::new(Self { table, version, changed: Notify::new() })
    }

    /// Puts another table in force. Whoever goes by it follows at once.
    pub(crate) fn replace(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        // After the table: whoever sees the new version finds the new table.
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// Grows with each replacement; from 1.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the application may use now.
    pub(crate) fn of(&self, app: &AppRoute) -> Policy {
        self.table().of(app)
    }

    /// Until the table is replaced; for the one who wakes the dispatcher.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_store::App;

    use super::*;
    use crate::routing::{Routing, test_app};

    fn defaults() -> Policy {
        Policy {
            concurrency: 64,
            endpoint_concurrency: 10,
            weight: 1,
            window_messages: 256,
            window_bytes: 8 << 20,
            backlog_max: 10_000,
            retry_share_ratio: 0.5,
        }
    }

    const TOTALS: Totals = Totals { concurrency: 4_096, window_bytes: 128 << 20, payload_bytes_max: 1 << 20 };

    fn refused(defaults: Policy, who: Who, change: Override) -> String {
        Table::new(defaults, TOTALS, [(who, change)]).unwrap_err().to_string()
    }

    fn acme() -> Who {
        Who::Organisation("org_acme".into())
    }

    #[test]
    fn each_field_comes_from_the_nearest_entry_that_has_it() {
        let routing = Routing::empty();
        let app = App { org: "org_acme".into(), uid: Some("shop".into()), ..test_app() };
        let app = routing.put_app(&app);
        let other = routing.put_app(&App { org: "org_acme".into(), ..test_app() });
        let stranger = routing.put_app(&test_app());
        let entries = [
            (acme(), Override { concurrency: Some(200), weight: Some(7), ..Override::default() }),
            (
                Who::Uid("org_acme".into(), "shop".into()),
                Override { concurrency: Some(300), endpoint_concurrency: Some(20), ..Override::default() },
            ),
            (Who::App(app.id), Override { endpoint_concurrency: Some(30), ..Override::default() }),
        ];
        let table = Table::new(defaults(), TOTALS, entries).unwrap();
        let policy = table.of(&app);
        assert_eq!((policy.concurrency, policy.endpoint_concurrency, policy.weight), (300, 30, 1));
        assert_eq!(table.of(&other), Policy { concurrency: 200, ..defaults() });
        assert_eq!(table.of(&stranger), defaults());
        assert_eq!((table.weight_of(&app.org), table.weight_of(&stranger.org)), (7, 1));
    }

    #[test]
    fn what_is_out_of_its_range_is_refused_by_name() {
        let change = Override { weight: Some(101), ..Override::default() };
        let said = "policy of organisation org_acme: weight is 101, allowed is 1 to 100";
        assert_eq!(refused(defaults(), acme(), change), said);
        let app = AppId::fresh();
        let change = Override { concurrency: Some(0), ..Override::default() };
        let said = format!("policy of application {app}: concurrency is 0, allowed is 1 to 65536");
        assert_eq!(refused(defaults(), Who::App(app), change), said);
        let change = Override { retry_share_ratio: Some(f64::NAN), ..Override::default() };
        assert!(
            refused(defaults(), acme(), change).contains("retry_share_ratio is NaN, allowed is 0.01 to 1")
        );
        let error = Table::new(Policy { concurrency: 5_000, ..defaults() }, TOTALS, []).unwrap_err();
        assert_eq!(error.field(), "concurrency");
    }

    #[test]
    fn tiers_that_contradict_each_other_are_refused_by_name() {
        let change = Override { endpoint_concurrency: Some(65), ..Override::default() };
        let said = "endpoint_concurrency is 65, allowed is at most concurrency, which is 64";
        assert!(refused(defaults(), acme(), change).contains(said));
        let change = Override { concurrency: Some(4_097), ..Override::default() };
        let said = "concurrency is 4097, allowed is at most hooks.concurrency, which is 4096";
        assert!(refused(defaults(), acme(), change).contains(said));
        let change = Override { window_bytes: Some(1_000), ..Override::default() };
        let said = "window_bytes is 1000, allowed is at least hooks.payload_bytes_max, which is 1048576";
        assert!(refused(defaults(), acme(), change).contains(said));
        // An entry of the organisation is what its applications stand on.
        let shop = Who::Uid("org_acme".into(), "shop".into());
        let wide = Override { endpoint_concurrency: Some(65), ..Override::default() };
        let roomy = Override { concurrency: Some(100), ..Override::default() };
        assert!(Table::new(defaults(), TOTALS, [(shop, wide), (acme(), roomy)]).is_ok());
    }

    #[test]
    fn a_replaced_table_has_a_later_version() {
        let policies = Policies::new(Table::new(defaults(), TOTALS, []).unwrap());
        let before = policies.version();
        let wider = Policy { concurrency: 100, ..defaults() };
        policies.replace(Table::new(wider, TOTALS, []).unwrap());
        assert!(policies.version() > before);
        let app = Routing::empty().put_app(&test_app());
        assert_eq!(policies.table().of(&app), wider);
    }

    #[test]
    fn a_share_of_places_is_one_at_the_least_and_all_at_the_most() {
        assert_eq!([share(64, 0.5), share(1, 0.5), share(3, 0.01), share(10, 1.0)], [32, 1, 1, 10]);
    }
}
