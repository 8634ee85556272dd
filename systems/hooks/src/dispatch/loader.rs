//! Reads what waits on disk when there is room for it in memory.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{
    AppId, DueWork, EndpointId, Error, Fanout, FanoutWork, MessageId, Order, Page, WorkKind,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::engine::Engine;
use super::envelope::Envelope;

use super::loads::{Load, LoadedDue};

/// Rows a read asks for while the past is looked through.
const PAGE: u32 = 1_000;
/// Payload bytes read at once for what is due for one endpoint.
const DUE_BYTES: usize = 1 << 20;
/// After a read that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// Makes one read after the other while something is to be read.
pub(super) async fn run(engine: Arc<Engine>) {
    loop {
        let Some(load) = engine.lock().next_load() else {
            engine.load.notified().await;
            continue;
        };
        // The next reader looks whether there is more.
        engine.load.notify_one();
        if let Err(error) = read(&engine, &load).await {
            tracing::error!(%error, "cannot read what waits on disk, trying again");
            tokio::time::sleep(PAUSE).await;
            engine.act(|schedule, now| schedule.load_failed(&load, now));
        }
    }
}

async fn read(engine: &Arc<Engine>, load: &Load) -> Result<(), Error> {
    match load {
        Load::Fanouts { app, except, limit, bytes } => {
            read_fanouts(engine, *app, except.clone(), *limit, *bytes).await
        }
        Load::Due { app, endpoint, except, limit } => {
            let now = engine.clock.now().unix;
            let kind = WorkKind::Delivery;
            let (works, next) = engine.store.due(kind, *app, endpoint.0, now, except.clone(), *limit).await?;
            let (works, next) = with_messages(engine, *app, works, next).await?;
            let loaded = LoadedDue { app: *app, endpoint: *endpoint, works, next };
            engine.act(|schedule, now| schedule.loaded_due(loaded, now));
            Ok(())
        }
    }
}

async fn read_fanouts(
    engine: &Arc<Engine>,
    app: AppId,
    except: Vec<MessageId>,
    limit: u32,
    bytes: usize,
) -> Result<(), Error> {
    let found = engine.store.fanouts(app, except, limit, bytes).await?;
    // The byte bound may have cut it short: only an empty answer says that nothing is left.
    let complete = found.is_empty();
    let mut works = Vec::with_capacity(found.len());
    for FanoutWork { fanout, message } in found {
        let from_before = message.id <= engine.started;
        let skip = if from_before { settled(engine, &fanout).await? } else { FxHashSet::default() };
        let message = Envelope::from(message).with_priority(fanout.priority);
        works.push((fanout, message, skip));
    }
    engine.act(|schedule, now| schedule.loaded_fanouts(app, works, complete, now));
    Ok(())
}

/// Endpoints beyond the frontier that have an attempt or due work from before.
async fn settled(engine: &Engine, fanout: &Fanout) -> Result<FxHashSet<EndpointId>, Error> {
    let Fanout { app, message, frontier, .. } = *fanout;
    let mut all = FxHashSet::default();
    let Some(route) = engine.routing.app(app) else { return Ok(all) };
    let is_beyond =
        |id: &EndpointId| route.target(*id).is_some_and(|target| target.endpoint.sequence > frontier);
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE, order: Order::Ascending };
        let found = engine.store.settled(message, page).await?;
        // A page may end early: only an empty one is surely the last.
        let Some(last) = found.last() else { return Ok(all) };
        after = Some(*last);
        all.extend(found.iter().copied().filter(is_beyond));
    }
}

type WithMessages = (Vec<(DueWork, Option<Arc<Envelope>>)>, Option<i64>);

/// The messages of the works, each read once; works whose messages are too many bytes wait.
async fn with_messages(
    engine: &Engine,
    app: AppId,
    works: Vec<DueWork>,
    mut next: Option<i64>,
) -> Result<WithMessages, Error> {
    let mut seen = FxHashSet::default();
    let ids = works.iter().map(|work| MessageId(work.id.subject)).filter(|id| seen.insert(*id)).collect();
    let found = engine.store.contents(app, ids, DUE_BYTES).await?;
    let messages: FxHashMap<_, _> = found
        .into_iter()
        .map(|(id, message)| {
            // What is kept without its content is not sent any more.
            let message = message.filter(|message| message.payload.is_some());
            (id, message.map(|message| Arc::new(Envelope::from(message))))
        })
        .collect();
    let mut loaded = Vec::with_capacity(works.len());
    for work in works {
        match messages.get(&MessageId(work.id.subject)) {
            Some(message) => loaded.push((work, message.clone())),
            None => next = super::tenant::earliest(next, Some(work.due_at)),
        }
    }
    Ok((loaded, next))
}

/// Finds what the last life of the process left.
pub(super) async fn resume(engine: &Arc<Engine>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE, order: Order::Ascending };
        let apps = engine.store.fanout_apps(engine.claim.shard, page).await?;
        let Some(last) = apps.last() else { break };
        after = Some(*last);
        let routes: Vec<_> = apps.iter().filter_map(|app| engine.routing.app(*app)).collect();
        engine.act(|schedule, now| routes.iter().for_each(|route| schedule.on_disk(route, now)));
    }
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE, order: Order::Ascending };
        let keys = engine.store.due_keys(engine.claim.shard, WorkKind::Delivery, page).await?;
        let Some(last) = keys.last() else { break };
        after = Some((last.tenant, last.key));
        for key in keys {
            let Some(route) = engine.routing.app(key.tenant) else { continue };
            let Some(target) = route.target(EndpointId(key.key)) else { continue };
            engine.lock().due_on_disk(&route, &target, key.due_at, engine.clock.now());
        }
        engine.act(|_, _| ());
    }
    Ok(())
}
