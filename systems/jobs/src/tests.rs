//! The real router over the real store.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use plimsoll_service::auth::Caller;
use plimsoll_store::{Options, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::settings::Settings;
use crate::{Claimed, Failure, Jobs, NewWork};

const ORG: &str = "org_a";

struct World {
    directory: TempDir,
    store: Store,
    jobs: Jobs,
}

fn settings() -> Settings {
    Settings { retry_first: Duration::from_millis(1), ..Settings::default() }
}

async fn open(directory: &TempDir) -> Store {
    Store::open(Options { directory: directory.path().to_path_buf() }).await.unwrap()
}

impl World {
    async fn new(settings: Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let store = open(&directory).await;
        let jobs = Jobs::builder(store.clone(), settings).start().await.unwrap();
        Self { directory, store, jobs }
    }

    fn router(&self, org: &str) -> Router {
        let caller = Caller { org: org.into() };
        self.jobs.router().merge(self.jobs.polls()).layer(axum::Extension(caller))
    }

    async fn ask_as(&self, org: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = body.get("idempotency-key").and_then(Value::as_str) {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router(org).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask_as(ORG, Method::POST, path, body).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask_as(ORG, Method::GET, path, Value::Null).await
    }

    async fn add(&self, extra: Value) -> String {
        let mut body = json!({ "tenant": "acme", "kind": "mail", "payload": { "n": 1 } });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (status, job) = self.post("/v1/jobs", body).await;
        assert_eq!(status, 202, "{job}");
        job["id"].as_str().unwrap().to_owned()
    }

    async fn claim(&self, max: u32) -> Vec<Value> {
        let body = json!({ "kinds": ["mail"], "max": max, "waitSeconds": 30 });
        let (status, claimed) = self.post("/v1/jobs/claim", body).await;
        assert_eq!(status, 200, "{claimed}");
        claimed["data"].as_array().unwrap().clone()
    }

    async fn word(&self, claim: &Value, what: &str, extra: Value) -> u16 {
        let mut body = json!({ "lease": claim["lease"] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let id = claim["id"].as_str().unwrap();
        self.post(&format!("/v1/jobs/{id}/{what}"), body).await.0
    }

    async fn state(&self, id: &str) -> String {
        self.get(&format!("/v1/jobs/{id}")).await.1["state"].as_str().unwrap_or("gone").to_owned()
    }

    /// Ends this life of the process without any of its ends, and begins the next.
    async fn die_and_return(self, settings: Settings) -> Self {
        let Self { directory, store, jobs } = self;
        drop(jobs);
        store.close().await;
        drop(store);
        let store = open(&directory).await;
        let jobs = Jobs::builder(store.clone(), settings).start().await.unwrap();
        Self { directory, store, jobs }
    }
}

#[tokio::test]
async fn a_job_goes_from_its_post_to_its_ack() {
    let world = World::new(settings()).await;
    let id = world.add(json!({ "key": "k", "priority": "high" })).await;
    assert_eq!(world.state(&id).await, "ready");
    let claimed = world.claim(5).await;
    assert_eq!((claimed.len(), claimed[0]["id"].as_str().unwrap()), (1, &*id));
    assert_eq!((&claimed[0]["payload"], &claimed[0]["run"]), (&json!({ "n": 1 }), &json!(1)));
    assert_eq!(world.state(&id).await, "running");
    assert_eq!(world.word(&claimed[0], "heartbeat", json!({})).await, 200);
    assert_eq!(world.word(&claimed[0], "ack", json!({})).await, 204);
    assert_eq!(world.state(&id).await, "done");
    assert_eq!(world.word(&claimed[0], "ack", json!({})).await, 204, "its answer may not have been heard");
    assert_eq!(world.word(&claimed[0], "heartbeat", json!({})).await, 409);
}

#[tokio::test]
async fn a_worker_that_waits_gets_the_job_that_comes() {
    let world = Arc::new(World::new(settings()).await);
    let (claimed, id) = tokio::join!(world.claim(1), async {
        tokio::task::yield_now().await;
        world.add(json!({})).await
    });
    assert_eq!(claimed[0]["id"].as_str().unwrap(), id);
}

#[tokio::test]
async fn a_failed_job_is_tried_again_and_then_dead_and_can_be_revived() {
    let world = World::new(settings()).await;
    let id = world.add(json!({ "attemptsMax": 2 })).await;
    for _ in 0..2 {
        let claimed = world.claim(1).await;
        let reason = json!({ "reason": "no", "retryInSeconds": 0 });
        assert_eq!(world.word(&claimed[0], "fail", reason).await, 204);
    }
    let (_, dead) = world.get("/v1/jobs/dead?tenant=acme&reason=failed").await;
    assert_eq!((&dead["data"][0]["id"], &dead["data"][0]["error"]), (&json!(id), &json!("no")));
    let (status, _) = world.post(&format!("/v1/jobs/{id}/retry"), Value::Null).await;
    assert_eq!(status, 202);
    assert_eq!(world.claim(1).await[0]["id"].as_str().unwrap(), id);
    let (_, none) = world.post("/v1/jobs/dead/retry", json!({ "tenant": "acme" })).await;
    assert_eq!(none, json!({ "retried": 0, "skipped": 0, "iterator": null, "done": true }));
}

#[tokio::test]
async fn dead_jobs_that_cannot_be_tried_again_do_not_hide_those_behind_them() {
    let world = World::new(settings()).await;
    let mut dead = Vec::new();
    for key in ["a", "b", "c"] {
        dead.push(world.add(json!({ "uniqueKey": key, "attemptsMax": 1 })).await);
        let claimed = world.claim(1).await;
        assert_eq!(world.word(&claimed[0], "fail", json!({})).await, 204);
    }
    for key in ["a", "b"] {
        world.add(json!({ "uniqueKey": key })).await;
    }
    let (mut iterator, mut told) = (Value::Null, Vec::new());
    for at in 1..=3 {
        let mut body = json!({ "tenant": "acme", "limit": 1 });
        if !iterator.is_null() {
            body["iterator"] = iterator;
        }
        let (status, page) = world.post("/v1/jobs/dead/retry", body).await;
        assert_eq!((status, &page["done"]), (202, &json!(at == 3)), "{page}");
        told.push((page["retried"].clone(), page["skipped"].clone()));
        iterator = page["iterator"].clone();
    }
    assert_eq!(told, [(json!(0), json!(1)), (json!(0), json!(1)), (json!(1), json!(0))]);
    assert_eq!(world.state(&dead[2]).await, "ready");
}

#[tokio::test]
async fn an_ack_that_is_repeated_before_the_first_is_written_has_not_lost_the_job() {
    let world = World::new(settings()).await;
    world.add(json!({})).await;
    let claimed = world.claim(1).await;
    let ack = || world.word(&claimed[0], "ack", json!({}));
    assert_eq!(tokio::join!(ack(), ack()), (204, 503));
    assert_eq!(ack().await, 204);
}

#[tokio::test]
async fn a_failure_with_a_long_reason_can_be_repeated() {
    let world = World::new(settings()).await;
    world.add(json!({ "attemptsMax": 1 })).await;
    let claimed = world.claim(1).await;
    let long = json!({ "reason": "long ".repeat(1_000) });
    assert_eq!(world.word(&claimed[0], "fail", long.clone()).await, 204);
    assert_eq!(world.word(&claimed[0], "fail", long).await, 204, "its answer may not have been heard");
}

#[tokio::test]
async fn a_unique_key_is_of_one_unfinished_job() {
    let world = World::new(settings()).await;
    let id = world.add(json!({ "uniqueKey": "u" })).await;
    let again = json!({ "tenant": "acme", "kind": "mail", "payload": 2, "uniqueKey": "u" });
    let (status, existing) = world.post("/v1/jobs", again.clone()).await;
    assert_eq!((status, &existing["id"], &existing["existing"]), (200, &json!(id), &json!(true)));
    let claimed = world.claim(1).await;
    world.word(&claimed[0], "ack", json!({})).await;
    assert_eq!(world.post("/v1/jobs", again).await.0, 202);
}

#[tokio::test]
async fn a_repeated_request_is_accepted_once() {
    let world = World::new(settings()).await;
    let body = json!({ "tenant": "a", "kind": "mail", "payload": 1, "idempotency-key": "x" });
    let first = world.post("/v1/jobs", body.clone()).await;
    let second = world.post("/v1/jobs", body).await;
    assert_eq!((first.0, &first.1["id"]), (second.0, &second.1["id"]));
    let other = json!({ "tenant": "a", "kind": "mail", "payload": 2, "idempotency-key": "x" });
    assert_eq!(world.post("/v1/jobs", other).await.0, 409);
    assert_eq!(world.jobs.core.engine.lock().census().unfinished, 1);
}

#[tokio::test]
async fn only_what_waits_can_be_cancelled() {
    let world = World::new(settings()).await;
    let later = world.add(json!({ "runAt": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(world.state(&later).await, "scheduled");
    let path = format!("/v1/jobs/{later}");
    let (status, job) = world.ask_as(ORG, Method::DELETE, &path, Value::Null).await;
    assert_eq!((status, &job["state"]), (200, &json!("cancelled")));
    let runs = world.add(json!({})).await;
    world.claim(1).await;
    let path = format!("/v1/jobs/{runs}");
    assert_eq!(world.ask_as(ORG, Method::DELETE, &path, Value::Null).await.0, 409);
    assert_eq!(world.jobs.core.engine.lock().census().unfinished, 1);
}

#[tokio::test]
async fn another_organisation_sees_and_gets_nothing() {
    let world = World::new(settings()).await;
    let id = world.add(json!({})).await;
    let path = format!("/v1/jobs/{id}");
    assert_eq!(world.ask_as("org_b", Method::GET, &path, Value::Null).await.0, 404);
    assert_eq!(world.ask_as("org_b", Method::DELETE, &path, Value::Null).await.0, 404);
    let body = json!({ "kinds": ["mail"], "waitSeconds": 0 });
    let (_, none) = world.ask_as("org_b", Method::POST, "/v1/jobs/claim", body).await;
    assert_eq!(none, json!({ "data": [] }));
    let claimed = world.claim(1).await;
    let lease = json!({ "lease": claimed[0]["lease"] });
    for word in ["ack", "heartbeat"] {
        let path = format!("/v1/jobs/{id}/{word}");
        assert_eq!(world.ask_as("org_b", Method::POST, &path, lease.clone()).await.0, 404, "{word}");
    }
}

#[tokio::test]
async fn a_full_backlog_is_refused_by_name_to_its_tenant_alone() {
    let world = World::new(Settings { tenant_backlog_max: 1, ..settings() }).await;
    world.add(json!({})).await;
    let body = json!({ "tenant": "acme", "kind": "mail", "payload": 1 });
    let (status, refused) = world.post("/v1/jobs", body).await;
    assert_eq!(status, 429);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.starts_with("jobs.tenant_backlog_max: 1 of 1 in use"), "{detail}");
    let bound = json!({ "name": "jobs.tenant_backlog_max", "limit": 1, "inUse": 1 });
    assert_eq!(refused["bound"], bound);
    world.add(json!({ "tenant": "other" })).await;
}

#[tokio::test]
async fn bad_fields_are_told_by_name() {
    let world = World::new(settings()).await;
    let body = json!({ "kind": "", "payload": 1, "priority": "urgent", "runAt": "soon", "attemptsMax": 0 });
    let (status, refused) = world.post("/v1/jobs", body).await;
    let mut fields: Vec<_> =
        refused["detail"].as_array().unwrap().iter().map(|one| one["loc"][1].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!((status, fields), (422, vec!["attemptsMax", "kind", "priority", "runAt", "tenant"]));
}

#[tokio::test]
async fn a_silent_worker_loses_its_job_and_its_late_word_is_refused() {
    let world = World::new(Settings { lease: Duration::from_millis(50), ..settings() }).await;
    let id = world.add(json!({})).await;
    let first = world.claim(1).await;
    let second = world.claim(1).await;
    assert_eq!((&first[0]["id"], &second[0]["id"]), (&json!(id), &json!(id)));
    assert_eq!((&first[0]["lease"], &second[0]["lease"]), (&json!("1"), &json!("2")));
    assert_eq!(world.word(&first[0], "ack", json!({})).await, 409);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_dead_as_crashed() {
    let settings = || Settings { lease: Duration::from_millis(20), crashes_max: 2, ..settings() };
    let world = World::new(settings()).await;
    let id = world.add(json!({})).await;
    world.claim(1).await;
    world.claim(1).await;
    while world.state(&id).await != "crashed" {
        tokio::task::yield_now().await;
    }
    let (_, dead) = world.get("/v1/jobs/dead?tenant=acme&reason=crashed").await;
    assert_eq!((&dead["data"][0]["id"], &dead["data"][0]["crashes"]), (&json!(id), &json!(2)));
}

#[tokio::test]
async fn a_worker_over_http_outlives_the_server() {
    let world = World::new(settings()).await;
    let id = world.add(json!({})).await;
    let waits = world.add(json!({})).await;
    let claimed = world.claim(1).await;
    assert_eq!(claimed[0]["id"].as_str().unwrap(), id);
    let world = world.die_and_return(settings()).await;
    assert_eq!(world.word(&claimed[0], "heartbeat", json!({})).await, 200);
    assert_eq!(world.claim(5).await[0]["id"].as_str().unwrap(), waits);
    assert_eq!(world.word(&claimed[0], "ack", json!({})).await, 204);
    assert_eq!(world.state(&id).await, "done");
}

#[tokio::test]
async fn who_waits_is_told_at_once_when_the_server_drains() {
    let world = World::new(settings()).await;
    let (claimed, ()) = tokio::join!(world.claim(1), async {
        while world.jobs.core.engine.lock().census().polls == 0 {
            tokio::task::yield_now().await;
        }
        world.jobs.close();
    });
    assert_eq!(claimed, Vec::<Value>::new());
    let body = json!({ "tenant": "acme", "kind": "mail", "payload": 1 });
    assert_eq!(world.post("/v1/jobs", body).await.0, 503);
}

#[tokio::test]
async fn a_worker_that_leaves_before_it_sees_its_jobs_costs_them_no_crash() {
    let world = World::new(settings()).await;
    let mut waits = Box::pin(world.claim(1));
    assert!(std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
    let id = world.add(json!({})).await;
    let number = || world.jobs.core.engine.lock().held(id.parse().unwrap()).map_or(0, |held| held.number);
    while number() == 0 {
        tokio::task::yield_now().await;
    }
    drop(waits);
    while world.state(&id).await != "ready" {
        tokio::task::yield_now().await;
    }
    let (_, job) = world.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!(job["crashes"], 0);
    assert_eq!(world.claim(1).await[0]["run"], 2);
}

/// Waits until nothing is unfinished.
async fn finished(jobs: &Jobs) {
    while jobs.core.engine.lock().census().unfinished > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn handlers_do_all_jobs_within_their_bounds_however_they_end() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let directory = TempDir::new().unwrap();
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
        move |job: Claimed| {
            let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                match (&job.payload[..], job.run) {
                    (b"panic", 1) => panic!("as asked"),
                    (b"fail", 1) => Err(Failure::new("once").retry_in(Duration::ZERO)),
                    (b"never", _) => Err(Failure::new("never").for_good()),
                    _ => Ok(()),
                }
            }
        }
    };
    let jobs = Jobs::builder(open(&directory).await, settings()).handler("work", 3, handler).start().await;
    let jobs = jobs.unwrap();
    let mut ids = Vec::new();
    for n in 0..200 {
        let payload = ["ok", "panic", "fail", "never"][n % 4];
        let submitted = jobs.submit(NewWork::new(format!("t{}", n % 5), "work", payload)).await.unwrap();
        ids.push(submitted.job().clone());
    }
    finished(&jobs).await;
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    for (n, job) in ids.iter().enumerate() {
        let job = jobs.job(job.lane.org().into(), job.id).await.unwrap().unwrap();
        let wanted =
            if n % 4 == 3 { plimsoll_store::JobState::Failed } else { plimsoll_store::JobState::Done };
        assert_eq!((job.state, job.crashes), (wanted, u32::from(n % 4 == 1)), "{n}: {job:?}");
    }
    assert_eq!(jobs.core.engine.lock().census(), crate::schedule::Census::default());
}

#[tokio::test]
async fn a_drain_lets_runs_finish_and_gives_back_what_it_cuts() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let (began, mut begun) = tokio::sync::mpsc::channel(8);
    let handler = move |_: Claimed| {
        let began = began.clone();
        async move {
            began.send(()).await.unwrap();
            std::future::pending().await
        }
    };
    let jobs = Jobs::builder(store.clone(), settings()).handler("work", 2, handler).start().await.unwrap();
    let job = jobs.submit(NewWork::new("t", "work", "x")).await.unwrap();
    begun.recv().await.unwrap();
    assert_eq!(jobs.drain(Duration::from_millis(10)).await, 1);
    let after = store.job(job.job().lane.org().into(), job.job().id).await.unwrap().unwrap();
    assert_eq!((after.state, after.crashes, after.claims), (plimsoll_store::JobState::Ready, 0, 1));
}

#[tokio::test]
async fn memory_holds_a_window_and_all_of_a_backlog_is_done() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let small = || Settings { window: 8, ..settings() };
    let jobs = Jobs::builder(store.clone(), small()).start().await.unwrap();
    let submits = (0..500).map(|n| jobs.submit(NewWork::new(format!("t{}", n % 3), "work", "x")));
    let mut submitted = Vec::new();
    for submit in submits {
        submitted.push(submit.await.unwrap());
    }
    assert!(jobs.core.engine.lock().census().in_memory <= 3 * 8);
    jobs.drain(Duration::ZERO).await;
    let handler = |_: Claimed| async { Ok(()) };
    let jobs = Jobs::builder(store, small()).handler("work", 4, handler).start().await.unwrap();
    finished(&jobs).await;
    assert_eq!(jobs.core.engine.metrics.finished.load(std::sync::atomic::Ordering::Relaxed), 500);
}

#[tokio::test]
async fn jobs_of_more_kinds_than_memory_has_room_for_are_all_found_on_disk_and_done() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    let jobs = Jobs::builder(store.clone(), settings()).start().await.unwrap();
    for n in 0..40 {
        let work = NewWork::new(format!("t{}", n % 2), format!("kind{}", n % 10), "x");
        jobs.submit(work).await.unwrap();
    }
    jobs.drain(Duration::ZERO).await;
    let small = Settings { lanes_max: 3, tenant_lanes_max: 2, ..settings() };
    let builder = (0..10).fold(Jobs::builder(store, small), |builder, kind| {
        builder.handler(&format!("kind{kind}"), 1, |_: Claimed| async { Ok(()) })
    });
    let jobs = builder.start().await.unwrap();
    finished(&jobs).await;
    assert_eq!(jobs.core.engine.metrics.finished.load(std::sync::atomic::Ordering::Relaxed), 40);
    assert_eq!(jobs.core.engine.lock().census(), crate::schedule::Census::default());
}

#[tokio::test]
async fn a_wall_clock_that_is_set_forward_is_not_slept_through() {
    let world = World::new(settings()).await;
    world.add(json!({ "runAt": "2999-01-01T00:00:00Z" })).await;
    assert!(world.jobs.core.engine.wait().unwrap() <= Duration::from_secs(1));
}
