//! What a user should be able to write, spawned on a runtime of many threads: every future here
//! must be `Send`, those of borrowing `async ||` closures included.

use std::time::Duration;

use plimsoll::breaker::{self, Breaker};
use plimsoll::downstream::{Downstream, LastGood};
use plimsoll::group::Group;
use plimsoll::hedge::{self, Hedge};
use plimsoll::keyed::Keyed;
use plimsoll::pool::{OnFull, Pool};
use plimsoll::rate::Quota;
use plimsoll::retry::{self, Decision};
use plimsoll::scope::{self, Scope};
use plimsoll::semaphore::Semaphore;
use plimsoll::{Outcome, Reason};

/// Runs a future as a task of its own, as a server does with a request.
async fn spawned<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::JoinSet::from_iter([future]).join_next().await.expect("one task").expect("it ends")
}

struct Client {
    stock: u32,
}

impl Client {
    async fn get(&self, sku: &str) -> Result<u32, u16> {
        tokio::task::yield_now().await;
        if sku == "missing" { Err(404) } else { Ok(self.stock) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_calls_a_closure_that_borrows() {
    let stock = spawned(async {
        let (client, sku) = (Client { stock: 7 }, String::from("anchor"));
        let breaker = Breaker::builder("inventory")
            .policy(breaker::Policy::ratio(0.5).calls_min(20).window(Duration::from_secs(10)))
            .build()
            .unwrap();
        let first = breaker.call(|| client.get(&sku)).await.unwrap();
        let second = breaker.call(async || client.get(&sku).await).await.unwrap();
        first + second
    })
    .await;
    assert_eq!(stock, 14);
}

#[test]
fn a_breaker_stands_before_each_of_many_hosts() {
    let policy = breaker::Policy::ratio(0.5).calls_min(1);
    let hosts = Keyed::builder("hosts", move |_: &String| Breaker::new(policy)).keys_max(2).build().unwrap();
    hosts.try_acquire("a.example").unwrap().finish(Outcome::Failure);
    let rejected = hosts.try_acquire("a.example").unwrap_err();
    assert_eq!((rejected.reason(), rejected.key()), (Reason::BreakerOpen, Some("a.example")));
    hosts.try_acquire("b.example").unwrap().finish(Outcome::Success);
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Tenant {
    id: u32,
    is_premium: bool,
}

impl std::fmt::Display for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tenant-{}", self.id)
    }
}

struct Plan {
    concurrency: u64,
}

const fn plan(tenant: &Tenant) -> Plan {
    Plan { concurrency: if tenant.is_premium { 2 } else { 1 } }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_per_tenant_is_as_large_as_its_plan() -> Result<(), Box<dyn std::error::Error + Send + Sync>>
{
    spawned(async {
        let tenants = Keyed::builder("tenants", |t: &Tenant| Semaphore::new(plan(t).concurrency))
            .keys_max(100_000)
            .idle_after(Duration::from_secs(600))
            .build()?;
        let (tenant, premium) = (Tenant { id: 7, is_premium: false }, Tenant { id: 8, is_premium: true });
        let permit = tenants.try_acquire(&tenant)?;
        let refused = tenants.try_acquire(&tenant).unwrap_err();
        assert_eq!(refused.to_string(), "tenants tenant-7: 1 of 1 in use, 0 waiting");
        let both = (tenants.acquire(&premium).await?, tenants.acquire(&premium).await?);
        drop((permit, both));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_runs_a_closure_that_borrows() {
    let stock = spawned(async {
        let (client, sku) = (Client { stock: 7 }, String::from("anchor"));
        let retries = retry::Budget::builder("inventory retries").build().unwrap();
        let policy = retry::Policy::exponential(Duration::from_millis(50)).attempts(3).budget(&retries);
        let policy =
            policy.retry_if(|status: &u16| if *status >= 500 { Decision::Retry } else { Decision::GiveUp });
        let missing = policy.run(async || client.get("missing").await).await.unwrap_err();
        assert_eq!((missing.attempts(), missing.into_last()), (1, Some(404)));
        policy.run(|| client.get(&sku)).await.unwrap()
    })
    .await;
    assert_eq!(stock, 7);
}

/// Kept in a struct: the type of a dependency needs no parameter.
struct Inventory {
    downstream: Downstream,
    client: Client,
}

impl Inventory {
    fn new() -> Result<Self, plimsoll::Invalid> {
        let retries = retry::Budget::builder("inventory retries").build()?;
        let downstream = Downstream::builder("inventory")
            .timeout(Duration::from_millis(250))
            .concurrency(50)
            .rate(Quota::per_second(100).burst(20))
            .breaker(breaker::Policy::ratio(0.5).calls_min(20).window(Duration::from_secs(10)))
            .retry(retry::Policy::exponential(Duration::from_millis(50)).attempts(3).budget(&retries))
            .build()?;
        Ok(Self { downstream, client: Client { stock: 7 } })
    }

    async fn stock(&self, sku: &str) -> Result<u32, plimsoll::downstream::Error<u16>> {
        self.downstream.call(|| self.client.get(sku)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_is_called_within_all_its_bounds() {
    let stock = spawned(async {
        let (inventory, sku) = (Inventory::new().unwrap(), String::from("anchor"));
        let first = inventory.stock(&sku).await.unwrap();
        let second = inventory.downstream.call(async || inventory.client.get(&sku).await).await.unwrap();
        let order = sku.clone();
        let once = inventory.downstream.call_once(async || inventory.client.get(&order).await).await;
        first + second + once.unwrap()
    })
    .await;
    assert_eq!(stock, 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_judged_by_a_closure_with_all_parts_is_spawned_too() {
    let stock = spawned(async {
        let client = Client { stock: 7 };
        let inventory = Downstream::builder("inventory of all parts")
            .fallback(LastGood::new())
            .deadline(Duration::from_secs(5))
            .retry(retry::Policy::exponential(Duration::from_millis(1)))
            .hedge(hedge::Policy::percentile(0.95))
            .breaker(breaker::Policy::ratio(0.5))
            .rate(Quota::per_second(100))
            .concurrency(50)
            .wait_up_to(Duration::from_secs(1))
            .timeout(Duration::from_secs(1))
            .judge(|answer: &Result<u32, u16>| match answer {
                Err(500..) => Outcome::Failure,
                _ => Outcome::Success,
            })
            .build()
            .unwrap();
        let missing = inventory.call(async || client.get("missing").await).await.unwrap_err();
        assert_eq!(missing.into_inner(), Some(404));
        inventory.call(|| client.get("anchor")).await.unwrap()
    })
    .await;
    assert_eq!(stock, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hedge_calls_a_closure_that_borrows() {
    let stock = spawned(async {
        let (client, sku) = (Client { stock: 7 }, String::from("anchor"));
        let hedge = Hedge::builder("replicas").policy(hedge::Policy::percentile(0.95)).build().unwrap();
        let first = hedge.call(|| client.get(&sku)).await.unwrap();
        first + hedge.call(async || client.get(&sku).await).await.unwrap()
    })
    .await;
    assert_eq!(stock, 14);
}

async fn load_profile(id: u32) -> Result<u32, std::io::Error> {
    tokio::task::yield_now().await;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_filled_by_hand() -> Result<(), Box<dyn std::error::Error>> {
    let profiles = spawned(async {
        let mut group = Group::builder("refresh").limit(16).build().unwrap();
        for id in 0..100 {
            group.spawn(load_profile(id)).await;
        }
        group.join().await
    })
    .await?;
    assert_eq!(profiles, (0..100).collect::<Vec<_>>());
    Ok(())
}

#[derive(Clone)]
struct Job {
    tenant: u32,
    bytes: usize,
}

async fn make_thumbnail(job: Job) -> Result<usize, std::io::Error> {
    tokio::task::yield_now().await;
    Ok(job.bytes / 64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_takes_jobs_and_is_drained() -> Result<(), Box<dyn std::error::Error>> {
    let (dead_sender, mut dead_letters) = tokio::sync::mpsc::channel(16);
    let pool = Pool::builder("thumbnails", make_thumbnail)
        .workers(8)
        .queue(1_024)
        .on_full(OnFull::Reject)
        .lanes(|job: &Job| job.tenant)
        .job_timeout(Duration::from_secs(30))
        .dead_letters(dead_sender)
        .build()?;
    let handle = pool.clone();
    let made = spawned(async move {
        let done = handle.submit(Job { tenant: 7, bytes: 6_400 }).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(done.await??)
    })
    .await;
    assert_eq!(made.unwrap(), 100);
    let left = spawned(async move { pool.drain(Duration::from_secs(20)).await }).await;
    assert!(left.is_empty() && dead_letters.try_recv().is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_runs_a_request_and_its_children_inherit_it() {
    let handle = async |path: &str| {
        let mut group = Group::new(2).unwrap();
        group.spawn(async { Ok::<_, ()>(scope::current().label_value("tenant").map(str::to_owned)) }).await;
        (path.len(), group.join().await.unwrap())
    };
    let request = String::from("/stock");
    let answer =
        Scope::new().label("tenant", "acme").deadline_in(Duration::from_secs(60)).run(handle(&request)).await;
    assert_eq!(answer, Ok((6, vec![Some("acme".to_owned())])));

    let spawned = spawned(async {
        let path = String::from("/stock");
        let work = async || path.len();
        Scope::new().run(work()).await
    });
    assert_eq!(spawned.await, Ok(6));
}

async fn fetch(url: String) -> Result<usize, u16> {
    tokio::task::yield_now().await;
    if url.ends_with("/gone") { Err(410) } else { Ok(url.len()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_fetches_many_pages_in_order() {
    let urls: Vec<_> = (0..100).map(|page| format!("https://example.com/{page:02}")).collect();
    let pages = spawned(async move { plimsoll::map(urls, 64, fetch).await }).await;
    assert_eq!(pages, Ok(vec![22; 100]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_keeps_every_result() -> Result<(), plimsoll::Invalid> {
    let urls = ["https://example.com/1", "https://example.com/gone"].map(String::from);
    let each = spawned(async move { plimsoll::map(urls, 64, fetch).collect_all().await }).await?;
    assert_eq!(each, [Ok(21), Err(410)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_reads_a_quorum_of_replicas() {
    let read = async |replica: u64| {
        tokio::task::yield_now().await;
        if replica == 1 { Err("down") } else { Ok("value") }
    };
    let three = spawned(async move { plimsoll::map(0..5, 5, read).quorum(3).await }).await;
    assert_eq!(three, Ok(vec!["value"; 3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_map_borrows() {
    let sums = spawned(async {
        let (client, rows) = (Client { stock: 7 }, vec![String::from("anchor"), String::from("rope")]);
        let closure = plimsoll::map_local(&rows, 8, |row| client.get(row)).await?;
        let block = plimsoll::map_local(&rows, 8, |row| async { Ok::<_, u16>(row.len() as u32) }).await?;
        Ok::<_, plimsoll::map::Error<u16>>((closure, block))
    })
    .await;
    assert_eq!(sums, Ok((vec![7, 7], vec![6, 4])));
}
