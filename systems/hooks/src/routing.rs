//! Who gets what: applications and endpoints in memory, exactly as the store has them.
//!
//! # Invariants
//! - A change is made durable first, then here; both under the application's or organisation's write lock
//!   ([`Routing::write_lock`]), so that memory and store agree on the order of changes.
//! - Endpoints of an application are in the order of their sequence.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use plimsoll_store::{App, AppId, Endpoint, EndpointId, Org, Store};
use rustc_hash::FxHashMap;

use crate::deliver::Prepared;
use crate::sign::Signer;

/// How many locks all applications share for their changes.
const WRITE_LOCKS: usize = 64;
/// Rows a read asks for while the table is loaded.
const LOAD_PAGE: u32 = 1_000;

/// An application as the hot paths need it.
pub(crate) struct AppRoute {
    pub(crate) id: AppId,
    pub(crate) org: Org,
    pub(crate) uid: Option<String>,
    /// Messages a second to all of its endpoints together.
    pub(crate) throttle_rate: Option<u32>,
    /// Nothing is delivered to its endpoints for now.
    pub(crate) paused: bool,
    targets: Arc<Targets>,
}

/// The endpoints of an application; kept when the application itself is changed.
#[derive(Default)]
struct Targets {
    sequence: AtomicU64,
    /// By sequence, replaced whole, so that a fan-out reads one consistent list without a lock.
    list: RwLock<Arc<Vec<Arc<Target>>>>,
    /// The same endpoints by id.
    by_id: RwLock<FxHashMap<EndpointId, Arc<Target>>>,
}

/// An endpoint as the hot paths need it.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) signer: Signer,
    /// `None` when its URL cannot be delivered to.
    pub(crate) prepared: Option<Prepared>,
}

impl Target {
    fn new(endpoint: Endpoint) -> Self {
        let (signer, prepared) = (Signer::new(&endpoint), Prepared::new(&endpoint));
        Self { endpoint, signer, prepared }
    }

    /// Whether anything can be sent to it at all.
    pub(crate) fn is_open(&self) -> bool {
        !self.endpoint.disabled && self.prepared.is_some()
    }

    /// Whether nothing is sent to it for now, and what is for it waits.
    pub(crate) const fn is_paused(&self) -> bool {
        self.endpoint.paused_at.is_some()
    }

    /// Whether a message of this type with these channels goes to it, apart from its being enabled.
    pub(crate) fn wants(&self, event_type: &str, channels: Option<&[String]>) -> bool {
        let type_fits =
            self.endpoint.event_types.as_ref().is_none_or(|types| types.iter().any(|one| one == event_type));
        let channel_fits = self.endpoint.channels.as_ref().is_none_or(|wanted| {
            channels.is_some_and(|has| wanted.iter().any(|channel| has.contains(channel)))
        });
        type_fits && channel_fits
    }
}

impl AppRoute {
    /// Its endpoints in the order of their sequence.
    pub(crate) fn targets(&self) -> Arc<Vec<Arc<Target>>> {
        Arc::clone(&self.targets.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The endpoint with this id.
    pub(crate) fn target(&self, endpoint: EndpointId) -> Option<Arc<Target>> {
        self.targets.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&endpoint).cloned()
    }

    /// The highest sequence an endpoint of it has or had: what a message is accepted with.
    pub(crate) fn ceiling(&self) -> u64 {
        self.targets.sequence.load(Ordering::Acquire)
    }

    /// How many endpoints a message goes to, as they are now.
    pub(crate) fn deliveries(&self, event_type: &str, channels: Option<&[String]>) -> u64 {
        let targets = self.targets();
        targets.iter().filter(|target| target.is_open() && target.wants(event_type, channels)).count() as u64
    }

    /// The sequence for a new endpoint; call under the write lock, and [`Routing::put_endpoint`]
    /// the endpoint when it is durable.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.ceiling() + 1
    }
}

/// All applications and endpoints.
pub(crate) struct Routing {
    apps: RwLock<Apps>,
    write_locks: [tokio::sync::Mutex<()>; WRITE_LOCKS],
}

#[derive(Default)]
struct Apps {
    by_id: FxHashMap<AppId, Arc<AppRoute>>,
    by_uid: HashMap<(Org, String), AppId>,
}

impl Routing {
    /// A table of nothing.
    pub(crate) fn empty() -> Self {
        Self { apps: RwLock::default(), write_locks: std::array::from_fn(|_| tokio::sync::Mutex::new(())) }
    }

    /// Reads the whole table from the store.
    pub(crate) async fn load(store: &Store) -> Result<Self, plimsoll_store::Error> {
        use plimsoll_store::{Order, Page};
        let routing = Self::empty();
        let mut after = None;
        loop {
            let page = store.all_apps(Page { after, limit: LOAD_PAGE, order: Order::Ascending }).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            for (app, sequence) in page {
                let route = routing.put_app(&app);
                route.targets.sequence.fetch_max(sequence, Ordering::AcqRel);
            }
        }
        let mut after = None;
        let mut by_app: FxHashMap<AppId, Vec<Arc<Target>>> = FxHashMap::default();
        loop {
            let page = store.all_endpoints(Page { after, limit: LOAD_PAGE, order: Order::Ascending }).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for endpoint in page {
                by_app.entry(endpoint.app).or_default().push(Arc::new(Target::new(endpoint)));
            }
        }
        for (app, mut targets) in by_app {
            let Some(route) = routing.app(app) else { continue };
            targets.sort_unstable_by_key(|target| target.endpoint.sequence);
            *route.targets.by_id.write().unwrap_or_else(PoisonError::into_inner) =
                targets.iter().map(|target| (target.endpoint.id, Arc::clone(target))).collect();
            *route.targets.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(targets);
        }
        Ok(routing)
    }

    /// Held while something of the application is changed in the store and then here. Applications
    /// share a fixed number of locks.
    pub(crate) async fn write_lock(&self, app: AppId) -> tokio::sync::MutexGuard<'_, ()> {
        let spread = usize::from(app.as_bytes()[19]) % WRITE_LOCKS;
        self.write_locks[spread].lock().await
    }

    /// The application with this id.
    pub(crate) fn app(&self, app: AppId) -> Option<Arc<AppRoute>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&app).cloned()
    }

    /// The application of an organisation by id or uid, as it stands in a path.
    pub(crate) fn find(&self, org: &Org, id_or_uid: &str) -> Option<Arc<AppRoute>> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        let by_id = id_or_uid.parse().ok().and_then(|id: AppId| apps.by_id.get(&id));
        let found = by_id.or_else(|| {
            let id = apps.by_uid.get(&(Arc::clone(org), id_or_uid.to_owned()))?;
            apps.by_id.get(id)
        });
        found.filter(|app| app.org == *org).cloned()
    }

    /// Inserts the application, or replaces it and keeps its endpoints.
    pub(crate) fn put_app(&self, app: &App) -> Arc<AppRoute> {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        let before = apps.by_id.get(&app.id).cloned();
        if let Some(uid) = before.as_ref().and_then(|before| before.uid.clone()) {
            apps.by_uid.remove(&(Arc::clone(&app.org), uid));
        }
        let targets = before.map_or_else(Arc::default, |before| Arc::clone(&before.targets));
        let route = Arc::new(AppRoute {
            id: app.id,
            org: Arc::clone(&app.org),
            uid: app.uid.clone(),
            throttle_rate: app.throttle_rate,
            paused: app.paused_at.is_some(),
            targets,
        });
        if let Some(uid) = app.uid.clone() {
            apps.by_uid.insert((Arc::clone(&app.org), uid), app.id);
        }
        apps.by_id.insert(app.id, Arc::clone(&route));
        route
    }

    /// Takes the application and its endpoints out.
    pub(crate) fn remove_app(&self, app: AppId) {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = apps.by_id.remove(&app) else { return };
        if let Some(uid) = gone.uid.clone() {
            apps.by_uid.remove(&(Arc::clone(&gone.org), uid));
        }
        *gone.targets.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        gone.targets.by_id.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Inserts the endpoint, or replaces the one with its id.
    pub(crate) fn put_endpoint(&self, endpoint: Endpoint) {
        let Some(app) = self.app(endpoint.app) else { return };
        let mut list = app.targets.list.write().unwrap_or_else(PoisonError::into_inner);
        let mut targets = Vec::clone(&list);
        let sequence = endpoint.sequence;
        let at = targets.binary_search_by_key(&sequence, |target| target.endpoint.sequence);
        let target = Arc::new(Target::new(endpoint));
        let mut by_id = app.targets.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(target.endpoint.id, Arc::clone(&target));
        match at {
            Ok(at) => targets[at] = target,
            Err(at) => targets.insert(at, target),
        }
        *list = Arc::new(targets);
        // After the list: whoever reads the new ceiling finds the endpoint.
        app.targets.sequence.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Takes the endpoint out.
    pub(crate) fn remove_endpoint(&self, app: AppId, endpoint: EndpointId) {
        let Some(app) = self.app(app) else { return };
        let mut list = app.targets.list.write().unwrap_or_else(PoisonError::into_inner);
        let targets = list.iter().filter(|target| target.endpoint.id != endpoint).cloned().collect();
        *list = Arc::new(targets);
        app.targets.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&endpoint);
    }
}

/// An application as a test needs one.
#[cfg(test)]
pub(crate) fn test_app() -> App {
    App {
        id: AppId::fresh(),
        org: "org_test".into(),
        uid: None,
        name: "test".to_owned(),
        throttle_rate: None,
        paused_at: None,
        metadata: "{}".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

/// An endpoint as a test needs one.
#[cfg(test)]
pub(crate) fn test_endpoint(url: &str) -> Endpoint {
    Endpoint {
        id: EndpointId::fresh(),
        app: AppId::fresh(),
        sequence: 1,
        uid: None,
        url: url.to_owned(),
        description: String::new(),
        disabled: false,
        disabled_by: None,
        event_types: None,
        channels: None,
        throttle_rate: None,
        paused_at: None,
        secret: plimsoll_store::Secret(vec![1; 24]),
        old_secrets: Vec::new(),
        headers: Vec::new(),
        metadata: "{}".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}
