//! What the parts of hooks share, and the handle that the host holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::breaker;
use plimsoll::group::Group;
use plimsoll::retry;
use plimsoll_service::policy::Commit;
use plimsoll_store::{Accepted, NewMessage, Store};
use tokio::sync::oneshot;

use crate::backlog::BacklogBound;
use crate::deliver::{self, AddressPolicy, Client, TlsError};
use crate::disable::Disabler;
use crate::dispatch::{Attempter, Dispatch, Limits, Terms};
use crate::health::Health;
use crate::intake::Intake;
use crate::observe::{self, Numbers, ScheduleBound, Trend};
use crate::overrides::Differing;
use crate::policy::{self, Policies, Policy, PolicyError, Table, Totals};
use crate::release::Releaser;
use crate::replay::Replayer;
use crate::routing::Routing;
use crate::settings::Settings;

/// Changes that are under way at once, whoever asked for them.
const CHANGES: usize = 256;
/// Tasks that run as long as the system does: intake, recorder, loaders, timer, releaser,
/// replayer, disabler.
const BACKGROUND: usize = 16;
/// Steps that may wait for their commit before deliveries wait for it.
const UNRECORDED: usize = 16_384;

/// The running system; cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    core: Arc<Core>,
}

/// What the host decides for hooks, beside its settings.
#[derive(Clone, Debug)]
pub struct Host {
    /// Sockets for deliveries, open and idle together: its share of the descriptors.
    pub sockets_max: u64,
}

/// Why it could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A bound was refused.
    Invalid(plimsoll::Invalid),
    /// The extra certificate authorities cannot be used.
    Tls(TlsError),
    /// The settings make no policy that holds for all.
    Policy(PolicyError),
    /// The store failed.
    Store(plimsoll_store::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<plimsoll::Invalid> for StartError {
    fn from(error: plimsoll::Invalid) -> Self {
        Self::Invalid(error)
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<PolicyError> for StartError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<plimsoll_store::Error> for StartError {
    fn from(error: plimsoll_store::Error) -> Self {
        Self::Store(error)
    }
}

/// What the parts share.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) routing: Arc<Routing>,
    pub(crate) dispatch: Dispatch,
    pub(crate) backlog: Arc<BacklogBound>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) releaser: Releaser,
    pub(crate) replayer: Replayer,
    pub(crate) disabler: Disabler,
    health: Health,
    intake: Intake,
    changes: tokio::sync::Mutex<Group<()>>,
    background: Mutex<Group<()>>,
    _bounds: Vec<Arc<ScheduleBound>>,
}

impl Hooks {
    /// Loads the routing table, finds what the last life of the process left, and begins to
    /// deliver: from the first delivery on by what `differing` says.
    ///
    /// # Errors
    /// When a setting or who differs from it is out of its range, or the store fails.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(
        store: Store,
        settings: &Settings,
        differing: &Differing,
        host: Host,
    ) -> Result<Self, StartError> {
        Ok(Self { core: Core::start(store, settings, differing, host).await? })
    }

    /// The public HTTP interface, for callers that are authenticated and admitted.
    pub fn router(&self) -> axum::Router {
        crate::api::router(Arc::clone(&self.core))
    }

    /// What of it answers without a token.
    pub fn health(&self) -> axum::Router {
        crate::api::health()
    }

    /// Starts nothing more, waits for what is under way until `deadline`, then cuts it short.
    /// Returns how many deliveries were cut short; they are made again by the next process.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the drain under way; it can be called again.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let cut = self.core.dispatch.drain(deadline).await;
        self.core.stop();
        cut
    }

    /// Checks who differs from the settings, and these with them; what is returned puts both in
    /// force at once, instead of what was before. Of the settings only those count that may change
    /// at runtime.
    ///
    /// # Errors
    /// When an entry is out of its range or does not fit with the others: then nothing is changed.
    pub fn prepare(&self, settings: &Settings, differing: &Differing) -> Result<Commit, PolicyError> {
        let policies = Arc::clone(&self.core.policies);
        let table = policies_of(settings, policies.table().totals(), differing)?;
        Ok(Box::new(move || policies.replace(table)))
    }

    /// Waits until another process has taken over what this one delivers: nothing can be recorded
    /// here any more, and the process should end.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    pub async fn fenced(&self) {
        self.core.dispatch.fenced().await;
    }

    /// Whether what is accepted can be made durable now.
    ///
    /// # Errors
    /// Says why not.
    pub fn can_write(&self) -> Result<(), String> {
        self.core.health.check(&self.core.store)
    }

    /// Its numbers, for the metrics page.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers {
            dispatch: self.core.dispatch.clone(),
            store: self.core.store.clone(),
            backlog: Arc::clone(&self.core.backlog),
            trend: Arc::new(Mutex::new(Trend::new())),
        }
    }
}

impl Core {
    pub(crate) async fn start(
        store: Store,
        settings: &Settings,
        differing: &Differing,
        host: Host,
    ) -> Result<Arc<Self>, StartError> {
        store.keep_history(small(settings.history_days));
        let routing = Arc::new(Routing::load(&store).await?);
        // One shard: SQLite has no other. Many shards are many dispatchers over one routing table.
        let claim = store.claims().first().copied().ok_or(plimsoll_store::Error::Closed)?;
        let client = Client::new(
            deliver::Settings {
                attempt_timeout: settings.attempt_timeout,
                connect_timeout: settings.connect_timeout,
                response_bytes_max: settings.response_bytes_max,
                idle_longest: settings.idle_connection,
                sockets_max: host.sockets_max,
            },
            AddressPolicy::new(settings.allow_private.clone()),
            deliver::connector(settings.tls_ca_file.as_deref())?,
        )?;
        let retries = retry::Policy::schedule(settings.retry_schedule.clone())
            .jitter_ratio(settings.retry_jitter_ratio);
        retries.check()?;
        let attempter =
            Attempter { client, retries, svix_headers: settings.svix_headers, metrics: Arc::default() };
        let limits = limits(settings, &host);
        let policies = Policies::new(policies_at_start(settings, &host, differing)?);
        let dispatch = Dispatch::new(
            limits,
            store.clone(),
            claim,
            Arc::clone(&routing),
            Arc::clone(&policies),
            attempter,
        )?;
        let mut background = Group::builder("hooks.background").limit(BACKGROUND).collect_all().build()?;
        dispatch.start(&mut background).await;
        dispatch.resume().await?;
        let (intake, desk) = Intake::new(store.clone(), claim, Arc::clone(&routing), dispatch.clone());
        background.spawn(desk.run()).await;
        let releaser = Releaser::new(store.clone(), claim, Arc::clone(&routing), dispatch.clone());
        background.spawn(releaser.clone().run()).await;
        let backlog = BacklogBound::new(Arc::clone(&policies), store.clone())?;
        let replayer = Replayer::new(
            store.clone(),
            claim,
            Arc::clone(&routing),
            dispatch.clone(),
            Arc::clone(&backlog),
            settings.replay_per_second,
        );
        background.spawn(replayer.clone().run()).await;
        let disabler = Disabler::new(
            store.clone(),
            claim,
            Arc::clone(&routing),
            dispatch.clone(),
            settings.disable_after_failing,
        );
        background.spawn(disabler.clone().run()).await;
        background.spawn(disabler.clone().run_for_gone()).await;
        let changes = Group::builder("hooks.changes").limit(CHANGES).collect_all().build()?;
        let bounds = observe::register(&dispatch)?;
        Ok(Arc::new(Self {
            _bounds: bounds,
            backlog,
            policies,
            health: Health::default(),
            store,
            routing,
            dispatch,
            releaser,
            replayer,
            disabler,
            intake,
            changes: tokio::sync::Mutex::new(changes),
            background: Mutex::new(background),
        }))
    }

    /// Ends what runs beside the deliveries; after a drain.
    pub(crate) fn stop(&self) {
        self.background.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }

    /// Accepts a message: durable when this returns `Stored`. The commit and the hand-over to the
    /// dispatcher go to their end even when the caller goes away.
    pub(crate) async fn accept(&self, message: NewMessage) -> Result<Accepted, plimsoll_store::Error> {
        self.store.room()?;
        let for_later = message.message.deliver_at.is_some();
        let accepted = self.intake.accept(message).await;
        if for_later {
            self.releaser.tell();
        }
        accepted
    }

    /// Accepts messages in one commit of their own: durable when this returns, each that is `Stored`.
    pub(crate) async fn accept_all(
        &self,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Accepted>, plimsoll_store::Error> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        self.store.room()?;
        let for_later = messages.iter().any(|new| new.message.deliver_at.is_some());
        let clerk = self.intake.clerk();
        let accepted = self.to_the_end(async move { clerk.accept(messages).await }).await;
        if for_later {
            self.releaser.tell();
        }
        accepted.into_iter().collect()
    }

    /// Runs `work` to its end even when the caller goes away: for changes that are made durable
    /// and then take effect in memory.
    ///
    /// # Panics
    /// When `work` does: the panic of a change is the panic of its request.
    pub(crate) async fn to_the_end<T, F>(&self, work: F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let task = async move {
            // Nobody waits any more: the change stands all the same.
            let _ = tx.send(work.await);
        };
        self.changes.lock().await.spawn(task).await;
        rx.await.expect("only a change that panicked gives no answer")
    }
}

fn limits(settings: &Settings, host: &Host) -> Limits {
    // A delivery that waited for a socket would fail by its deadline, through no fault of its endpoint.
    let concurrency = size(settings.concurrency.min(host.sockets_max));
    Limits {
        concurrency,
        retries: policy::share(concurrency, settings.retry_share_ratio),
        destinations: Terms {
            concurrency: settings.destination_concurrency,
            retries_ratio: settings.retry_budget_ratio,
            retries_per_second: settings.retry_budget_per_second as f64,
        },
        window_bytes_total: size(settings.window_bytes_total),
        tenant_first_tries: 8_192,
        unrecorded: UNRECORDED,
        breaker: breaker::Policy::ratio(settings.breaker.failure_ratio)
            .calls_min(small(settings.breaker.calls_min))
            .window(settings.breaker.window)
            .open_for(settings.breaker.open)
            .open_for_max(settings.breaker.open_max)
            .probes_max(small(settings.breaker.probes)),
    }
}

/// What holds for every application when the system starts.
pub(crate) fn policies_at_start(
    settings: &Settings,
    host: &Host,
    differing: &Differing,
) -> Result<Table, PolicyError> {
    policies_of(settings, totals(settings, limits(settings, host).concurrency), differing)
}

/// What holds for every application.
fn policies_of(settings: &Settings, totals: Totals, differing: &Differing) -> Result<Table, PolicyError> {
    // A machine with few sockets lowers what is set.
    let tenant = size(settings.tenant_concurrency).min(totals.concurrency);
    let defaults = Policy {
        concurrency: tenant,
        endpoint_concurrency: size(settings.endpoint_concurrency).min(tenant),
        weight: 1,
        window_messages: settings.window_messages,
        window_bytes: size(settings.window_bytes),
        backlog_max: settings.tenant_backlog_max,
        retry_share_ratio: settings.retry_share_ratio,
    };
    let defaults = policy::apply(defaults, Some(&differing.defaults));
    Table::new(defaults, totals, differing.entries.iter().cloned())
}

fn totals(settings: &Settings, concurrency: usize) -> Totals {
    Totals {
        concurrency,
        window_bytes: size(settings.window_bytes_total),
        payload_bytes_max: size(settings.payload_bytes_max),
    }
}

fn size(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

fn small(setting: u64) -> u32 {
    u32::try_from(setting).unwrap_or(u32::MAX)
}
