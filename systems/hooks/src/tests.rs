//! The system in one process: a real store, real sockets, a receiver that misbehaves as told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll::group::Group;
use plimsoll_service::config::{Inputs, Resolved};
use plimsoll_store::{
    App, AppId, AttemptFilter, AttemptState, Change, Changed, DisabledBy, Endpoint, EndpointId, Message,
    MessageId, NewMessage, Options, Order, Page, Priority, Reference, ResendRequest, Store,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::core::{Core, Host};
use crate::dispatch::unix_millis;
use crate::overrides::Differing;
use crate::routing::test_endpoint;
use crate::settings::{SETTINGS, Settings};

const PATIENCE: Duration = Duration::from_secs(20);

/// Settings with these in place of the defaults; loopback may be delivered to.
pub(crate) fn settings(flags: &[(&str, &str)]) -> Settings {
    let loopback = [("allow_private", "127.0.0.0/8")];
    let chosen = flags.iter().any(|(key, _)| *key == "allow_private");
    let loopback = &loopback[usize::from(chosen)..];
    let flag = |(key, value): &(&str, &str)| ((*key).into(), (*value).into(), "--set".into());
    let flags = loopback.iter().chain(flags).map(flag).collect();
    let tables = [plimsoll_service::settings::SETTINGS, SETTINGS];
    let resolved = Resolved::load(&tables, Inputs { flags, ..Inputs::default() }).unwrap();
    Settings::resolve(&resolved).unwrap()
}

pub(crate) async fn start(directory: &std::path::Path, flags: &[(&str, &str)]) -> Arc<Core> {
    let store = Store::open(Options { directory: directory.to_owned() }).await.unwrap();
    Core::start(store, &settings(flags), &Differing::default(), Host { sockets_max: 256 }).await.unwrap()
}

pub(crate) async fn stop(core: Arc<Core>) {
    core.dispatch.drain(PATIENCE).await;
    core.stop();
    core.store.close().await;
}

struct Received {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

type Behaviour = Arc<dyn Fn(&str, usize) -> (StatusCode, Duration) + Send + Sync>;

/// Answers as it is told, and remembers what came.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    came: Arc<Notify>,
    _tasks: Group<()>,
}

impl Receiver {
    /// `behaviour` is given the path and how often it was called before.
    async fn start(
        behaviour: impl Fn(&str, usize) -> (StatusCode, Duration) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (received, came) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let mut tasks = Group::builder("test-receiver").limit(1).collect_all().build().unwrap();
        let state = (Arc::clone(&received), Arc::clone(&came), Arc::new(behaviour) as Behaviour);
        tasks.spawn(Self::accept(listener, state)).await;
        Self { address, received, came, _tasks: tasks }
    }

    async fn accept(listener: TcpListener, state: (Arc<Mutex<Vec<Received>>>, Arc<Notify>, Behaviour)) {
        let mut connections = Group::builder("test-connections").limit(1_024).collect_all().build().unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let state = state.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (received, came, behaviour) = state.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let headers = request.headers().clone();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let before = {
                        let mut received = received.lock().unwrap();
                        let before = received.iter().filter(|one: &&Received| one.path == path).count();
                        received.push(Received { path: path.clone(), headers, body });
                        before
                    };
                    let (status, wait) = behaviour(&path, before);
                    came.notify_one();
                    tokio::time::sleep(wait).await;
                    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
                    *response.status_mut() = status;
                    Ok::<_, Infallible>(response)
                }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            connections.spawn(async { drop(connection.await) }).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often each path was called.
    fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for one in self.received.lock().unwrap().iter() {
            *counts.entry(one.path.clone()).or_default() += 1;
        }
        counts
    }

    async fn until(&self, holds: impl Fn(&HashMap<String, usize>) -> bool) {
        let wait = async {
            while !holds(&self.counts()) {
                self.came.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "in vain: {:?}", self.counts());
    }
}

async fn app(core: &Core) -> AppId {
    let app = App {
        id: AppId::fresh(),
        org: "org_test".into(),
        uid: None,
        name: "test".into(),
        throttle_rate: None,
        paused_at: None,
        metadata: "{}".into(),
        created_at: unix_millis(),
        updated_at: unix_millis(),
    };
    let claim = core.store.claim_of(app.id);
    let changed = core.store.change(claim, vec![Change::PutApp(app.clone())]).await.unwrap();
    assert_eq!(changed, [Changed::Done]);
    core.routing.put_app(&app);
    app.id
}

async fn endpoint(core: &Core, app: AppId, url: &str, change: impl FnOnce(&mut Endpoint)) -> EndpointId {
    let sequence = core.routing.app(app).unwrap().next_sequence();
    let mut endpoint = Endpoint { app, sequence, ..test_endpoint(url) };
    change(&mut endpoint);
    put(core, endpoint).await
}

async fn put(core: &Core, endpoint: Endpoint) -> EndpointId {
    let (app, id) = (endpoint.app, endpoint.id);
    let changed = core
        .store
        .change(core.store.claim_of(app), vec![Change::PutEndpoint(Box::new(endpoint.clone()))])
        .await;
    assert_eq!(changed.unwrap(), [Changed::Done]);
    core.routing.put_endpoint(endpoint);
    core.dispatch.endpoint_changed(app, id);
    id
}

async fn send(core: &Core, app: AppId, payload: &str) -> MessageId {
    let route = core.routing.app(app).unwrap();
    let message = Message {
        id: MessageId::fresh(),
        app,
        event_id: None,
        event_type: "invoice.paid".into(),
        channels: None,
        payload: Some(payload.as_bytes().to_vec()),
        accepted_at: unix_millis(),
        deliver_at: None,
        canceled_at: None,
        priority: Priority::Normal,
    };
    let id = message.id;
    let (org, ceiling) = (Arc::clone(&route.org), route.ceiling());
    let deliveries = route.deliveries(&message.event_type, None);
    let backlog_max = u64::MAX;
    let idempotency = None;
    let new = NewMessage { message, org, ceiling, deliveries, backlog_max, idempotency, retention_days: 90 };
    assert_eq!(core.accept(new).await.unwrap(), plimsoll_store::Accepted::Stored);
    id
}

/// Nothing is under way, in memory or on disk; due work is not counted.
async fn settled(core: &Core, app: AppId) {
    let wait = async {
        loop {
            let view = core.dispatch.view();
            let fanouts = core.store.fanouts(app, Vec::new(), 10, 1 << 20).await.unwrap();
            if view.in_flight == 0
                && view.unrecorded == 0
                && view.census.window_messages == 0
                && fanouts.is_empty()
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never settled");
}

fn all<K>() -> Page<K> {
    Page { after: None, limit: 1_000, order: Order::Ascending }
}

const OK: (StatusCode, Duration) = (StatusCode::OK, Duration::ZERO);

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_message_is_delivered_signed_and_its_fan_out_goes() {
    let directory = tempfile::tempdir().unwrap();
    let core = start(directory.path(), &[]).await;
    let receiver = Receiver::start(|_, _| OK).await;
    let app = app(&core).await;
    let one = endpoint(&core, app, &receiver.url("/one"), |_| {}).await;
    endpoint(&core, app, &receiver.url("/other-type"), |endpoint| {
        endpoint.event_types = Some(vec!["invoice.void".into()]);
    })
    .await;
    endpoint(&core, app, &receiver.url("/disabled"), |endpoint| endpoint.disabled = true).await;
    let message = send(&core, app, r#"{"total":  7}"#).await;
    receiver.until(|counts| counts.len() == 1).await;
    settled(&core, app).await;
    assert_eq!(receiver.counts(), HashMap::from([("/one".into(), 1)]));
    {
        let received = receiver.received.lock().unwrap();
        assert_eq!(received[0].body, r#"{"total":  7}"#, "the exact bytes");
        let headers = &received[0].headers;
        assert_eq!(headers["webhook-id"], message.to_string().as_str());
        assert_eq!(headers["webhook-id"], headers["svix-id"]);
        let (now, timestamp) = (unix_millis(), headers["webhook-timestamp"].to_str().unwrap());
        let target = core.routing.app(app).unwrap().target(one).unwrap();
        let signature = target.signer.sign(&message.to_string(), timestamp, &received[0].body, now);
        assert_eq!(headers["webhook-signature"], signature);
    }
    let attempts =
        core.store.attempts_of_message(app, message, AttemptFilter::default(), all()).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].endpoint, attempts[0].state, attempts[0].number),
        (one, AttemptState::Succeeded, 1)
    );
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_by_the_schedule_and_dies_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [("hooks.retry_schedule_seconds", "1,1"), ("hooks.retry_jitter_ratio", "1")];
    let core = start(directory.path(), &flags).await;
    let receiver = Receiver::start(|path, before| {
        if path == "/second" && before == 1 {
            OK
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO)
        }
    })
    .await;
    let app = app(&core).await;
    let second = endpoint(&core, app, &receiver.url("/second"), |_| {}).await;
    let never = endpoint(&core, app, &receiver.url("/never"), |_| {}).await;
    let message = send(&core, app, "{}").await;
    receiver.until(|counts| counts.get("/never") == Some(&3) && counts.get("/second") == Some(&2)).await;
    settled(&core, app).await;
    let stats = core.store.endpoint_stats(app, second, None, None).await.unwrap();
    assert_eq!((stats.succeeded, stats.failed, stats.pending), (1, 0, 0));
    let stats = core.store.endpoint_stats(app, never, None, None).await.unwrap();
    assert_eq!((stats.succeeded, stats.failed, stats.pending), (0, 1, 0), "dead, and kept");
    // The dead one can be sent again by hand, once.
    let route = core.routing.app(app).unwrap();
    let resend =
        ResendRequest { org: Arc::clone(&route.org), app, message, endpoint: never, at: unix_millis() };
    let changed = core.store.change(core.store.claim_of(app), vec![Change::Resend(resend)]).await.unwrap();
    assert_eq!(changed, [Changed::Done]);
    core.dispatch.due_now(app, never);
    receiver.until(|counts| counts.get("/never") == Some(&4)).await;
    settled(&core, app).await;
    let attempts =
        core.store.attempts_of_message(app, message, AttemptFilter::default(), all()).await.unwrap();
    let last = attempts.iter().rfind(|attempt| attempt.endpoint == never).unwrap();
    assert_eq!((last.number, last.state), (4, AttemptState::Failed));
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_a_restart_is_delivered_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| OK).await;
    let core = start(directory.path(), &[]).await;
    let app = app(&core).await;
    for number in 0..7 {
        endpoint(&core, app, &receiver.url(&format!("/{number}")), |_| {}).await;
    }
    // Nothing starts any more, but messages are accepted.
    core.dispatch.drain(PATIENCE).await;
    for number in 0..50 {
        send(&core, app, &format!("{{\"n\":{number}}}")).await;
    }
    stop(core).await;
    assert!(receiver.counts().is_empty());
    let core = start(directory.path(), &[]).await;
    receiver.until(|counts| counts.len() == 7 && counts.values().all(|count| *count == 50)).await;
    settled(&core, app).await;
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_larger_than_memory_may_hold_waits_on_disk_and_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [("hooks.window_messages", "4"), ("hooks.endpoint_concurrency", "2")];
    let core = start(directory.path(), &flags).await;
    let slow = Duration::from_millis(2);
    let receiver = Receiver::start(move |_, _| (StatusCode::OK, slow)).await;
    let app = app(&core).await;
    endpoint(&core, app, &receiver.url("/a"), |_| {}).await;
    for number in 0..300 {
        send(&core, app, &format!("{{\"n\":{number}}}")).await;
        assert!(core.dispatch.view().census.window_messages <= 4);
    }
    receiver.until(|counts| counts.get("/a") == Some(&300)).await;
    settled(&core, app).await;
    assert_eq!(receiver.counts()["/a"], 300, "none twice");
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_and_hanging_endpoints_do_not_hold_up_their_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [("hooks.window_messages", "16"), ("hooks.tenant_concurrency", "16")];
    let core = start(directory.path(), &flags).await;
    let receiver = Receiver::start(|path, _| match path {
        "/hangs" => (StatusCode::OK, Duration::from_secs(3_600)),
        "/fails" => (StatusCode::BAD_GATEWAY, Duration::ZERO),
        _ => OK,
    })
    .await;
    let app = app(&core).await;
    for path in ["/hangs", "/fails", "/well"] {
        endpoint(&core, app, &receiver.url(path), |_| {}).await;
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    endpoint(&core, app, &format!("http://{closed}/"), |_| {}).await;
    for number in 0..400 {
        send(&core, app, &format!("{{\"n\":{number}}}")).await;
    }
    receiver.until(|counts| counts.get("/well") == Some(&400)).await;
    assert_eq!(receiver.counts()["/well"], 400, "none twice");
    core.dispatch.drain(Duration::ZERO).await;
    core.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_endpoint_is_parked_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let core = start(directory.path(), &[]).await;
    let receiver = Receiver::start(|_, _| OK).await;
    let app = app(&core).await;
    endpoint(&core, app, &receiver.url("/throttled"), |endpoint| endpoint.throttle_rate = Some(40)).await;
    endpoint(&core, app, &receiver.url("/free"), |_| {}).await;
    let began = tokio::time::Instant::now();
    for number in 0..60 {
        send(&core, app, &format!("{{\"n\":{number}}}")).await;
    }
    receiver.until(|counts| counts.get("/free") == Some(&60)).await;
    receiver.until(|counts| counts.get("/throttled") == Some(&60)).await;
    // 60 at 40 a second, the first at once: the rate is a bound from below, whatever the machine.
    assert!(began.elapsed() >= Duration::from_millis(1_400), "{:?}", began.elapsed());
    settled(&core, app).await;
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_not_delivered_to_unless_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let core = start(directory.path(), &[("hooks.retry_schedule_seconds", ""), ("allow_private", "")]).await;
    let receiver = Receiver::start(|_, _| OK).await;
    let app = app(&core).await;
    let port = receiver.address.port();
    for url in
        [receiver.url("/"), format!("http://localhost:{port}/"), format!("http://[::ffff:127.0.0.1]:{port}/")]
    {
        endpoint(&core, app, &url, |_| {}).await;
    }
    let message = send(&core, app, "{}").await;
    settled(&core, app).await;
    let filter = AttemptFilter { with_content: true, ..AttemptFilter::default() };
    let attempts = core.store.attempts_of_message(app, message, filter, all()).await.unwrap();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        let response = String::from_utf8(attempt.response).unwrap();
        assert!(attempt.state == AttemptState::Exhausted && response.contains("not allowed"), "{response}");
    }
    assert!(receiver.counts().is_empty());
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_an_endpoint_drops_what_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let core = start(directory.path(), &[("hooks.retry_schedule_seconds", "1,1,1,1")]).await;
    let receiver = Receiver::start(|_, _| (StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO)).await;
    let app = app(&core).await;
    let id = endpoint(&core, app, &receiver.url("/gone"), |_| {}).await;
    send(&core, app, "{}").await;
    receiver.until(|counts| counts.len() == 1).await;
    settled(&core, app).await;
    let mut disabled = core.routing.app(app).unwrap().target(id).unwrap().endpoint.clone();
    disabled.disabled = true;
    put(&core, disabled).await;
    let dropped = async {
        while core.store.endpoint_stats(app, id, None, None).await.unwrap().pending > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, dropped).await.is_ok());
    assert_eq!(receiver.counts()["/gone"], 1);
    stop(core).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_410_is_disabled_and_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let core = start(directory.path(), &[]).await;
    let receiver = Receiver::start(|_, _| (StatusCode::GONE, Duration::ZERO)).await;
    let app = app(&core).await;
    let id = endpoint(&core, app, &receiver.url("/"), |_| {}).await;
    let first = send(&core, app, "{}").await;
    let disabled = async {
        while !core.routing.app(app).unwrap().target(id).unwrap().endpoint.disabled {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, disabled).await.is_ok());
    let stored = core.store.endpoint(app, Reference::Id(id)).await.unwrap().unwrap();
    assert_eq!((stored.disabled, stored.disabled_by), (true, Some(DisabledBy::Gone)));
    send(&core, app, "{}").await;
    settled(&core, app).await;
    assert_eq!(receiver.counts()["/"], 1, "nothing more is sent to it");
    let attempts = core.store.attempts_of_message(app, first, AttemptFilter::default(), all()).await.unwrap();
    assert_eq!(attempts.iter().map(|one| one.state).collect::<Vec<_>>(), [AttemptState::Failed]);
    // Its owner knows better: it gets a new start.
    let enabled = Endpoint { disabled: false, disabled_by: None, ..stored };
    put(&core, enabled).await;
    send(&core, app, "{}").await;
    receiver.until(|counts| counts["/"] == 2).await;
    stop(core).await;
}
