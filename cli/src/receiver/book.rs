//! What arrived, exactly.
//!
//! # Lock order
//! One lock at a time: the page of an endpoint, then the ids, then the latencies, none across an
//! await.

use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Stats, add};
use super::latencies::Latencies;
use super::signature::{Fault, Key, Signed};
use super::{Behaviour, Bits, Plan};

/// The most arrivals at one endpoint whose times are kept.
const TRACE_MAX: usize = 1 << 16;

/// The books of a run.
pub(crate) struct Book {
    run: u32,
    tenants: usize,
    verify_every: u64,
    pages: Vec<Page>,
    // A digest of the id that each event came under; 0 is none yet.
    ids: Mutex<Vec<u64>>,
    hasher: rustc_hash::FxBuildHasher,
    latencies: Mutex<Latencies>,
    counts: Counts,
    first: OnceLock<Vec<u8>>,
}

/// Where a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// An endpoint: `/e/{number}`.
    Endpoint(usize),
    /// The same work for the same answer, and entered nowhere: `/c/{number}`.
    NotCounted(usize),
}

/// What became of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Signed well and known; the endpoint does as it behaves.
    Known(Behaviour),
    /// Signed well, and nobody asked to enter it.
    NotCounted,
    /// Not signed well.
    BadSignature(Fault),
    /// Signed well, but not an event of this endpoint.
    Stranger,
    /// There is no such endpoint.
    NoEndpoint,
}

/// What of a tenant's accepted events arrived at its endpoints that take what they get.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Compared {
    /// Accepted events times endpoints.
    pub(crate) due: u64,
    /// How many of these have arrived.
    pub(crate) delivered: u64,
    /// What arrived and was never answered with 202.
    pub(crate) not_accepted: u64,
}

struct Page {
    tenant: usize,
    key: Key,
    behaviour: Behaviour,
    timed: bool,
    arrived: Mutex<Bits>,
    trace: Option<Mutex<Vec<u64>>>,
}

/// What is sent, as far as the receiver reads it.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    run: u32,
    tenant: usize,
    event: usize,
    sent_at: u64,
}

impl Book {
    /// Empty books for a plan.
    ///
    /// # Errors
    /// A secret that is not `whsec_` and base64, or a number out of its range.
    pub(crate) fn new(plan: &Plan) -> Result<Self, String> {
        plan.check()?;
        let events = plan.events_of_tenant();
        let page = |(number, endpoint): (usize, &super::EndpointPlan)| {
            let key = Key::from_secret(&endpoint.secret)
                .ok_or_else(|| format!("the secret of endpoint {number} is not whsec_ and base64"))?;
            Ok(Page {
                tenant: endpoint.tenant,
                key,
                behaviour: endpoint.behaviour,
                timed: endpoint.timed,
                arrived: Mutex::new(Bits::new(events)),
                trace: endpoint.traced.then(Mutex::default),
            })
        };
        Ok(Self {
            run: plan.run,
            tenants: plan.tenants,
            verify_every: plan.verify_every.max(1).into(),
            pages: plan.endpoints.iter().enumerate().map(page).collect::<Result<_, String>>()?,
            ids: Mutex::new(vec![0; plan.events]),
            hasher: rustc_hash::FxBuildHasher,
            latencies: Mutex::new(Latencies::new(plan.started_at, plan.slice_micros)),
            counts: Counts::default(),
            first: OnceLock::new(),
        })
    }

    /// Keeps the first request as it came, to be looked at or sent again.
    pub(crate) fn keep_first(&self, request: &[u8]) {
        if self.first.get().is_none() {
            let _ = self.first.set(request.to_vec());
        }
    }

    /// The first request as it came.
    pub(crate) fn first(&self) -> Option<&[u8]> {
        self.first.get().map(Vec::as_slice)
    }

    /// Enters one request; `arrived_at` in [`machine_micros`](super::machine_micros).
    pub(crate) fn enter(&self, place: Place, signed: Signed<'_>, body: &[u8], arrived_at: u64) -> Entry {
        let (Place::Endpoint(number) | Place::NotCounted(number)) = place;
        let Some(page) = self.pages.get(number) else { return Entry::NoEndpoint };
        let turn = add(&self.counts.received);
        let id = match self.verify(page, turn, signed, body) {
            Ok(id) => id,
            Err(fault) => {
                self.counts.received.fetch_sub(1, Ordering::Relaxed);
                add(&self.counts.bad_signatures);
                return Entry::BadSignature(fault);
            }
        };
        let sent = serde_json::from_slice(body).ok().filter(|sent: &Payload| {
            sent.run == self.run && sent.tenant == page.tenant && sent.event % self.tenants == page.tenant
        });
        let Some(sent) = sent else { return self.stranger() };
        if place == Place::NotCounted(number) {
            add(&self.counts.not_counted);
            return Entry::NotCounted;
        }
        let Some(new) = locked(&page.arrived).insert(sent.event / self.tenants) else {
            return self.stranger();
        };
        if !self.is_same_id(sent.event, id) {
            add(&self.counts.accepted_twice);
        }
        if let Some(trace) = &page.trace {
            let mut trace = locked(trace);
            if trace.len() < TRACE_MAX {
                trace.push(arrived_at);
            }
        }
        if new && page.timed {
            locked(&self.latencies).record(sent.sent_at, arrived_at);
        }
        self.count(page.behaviour, new, arrived_at);
        Entry::Known(page.behaviour)
    }

    /// The counters now.
    pub(crate) fn stats(&self) -> Stats {
        self.counts.stats()
    }

    /// Which events of its tenant arrived at an endpoint: event `n` as number `n / tenants`.
    pub(crate) fn arrived(&self, endpoint: usize) -> Option<Bits> {
        self.pages.get(endpoint).map(|page| locked(&page.arrived).clone())
    }

    /// When something arrived at an endpoint that is traced, in the order of arrival.
    pub(crate) fn trace(&self, endpoint: usize) -> Option<Vec<u64>> {
        self.pages.get(endpoint)?.trace.as_ref().map(|trace| locked(trace).clone())
    }

    /// Compares what a tenant's senders know to be accepted with what arrived at its endpoints.
    pub(crate) fn compare(&self, tenant: usize, accepted: &Bits) -> Compared {
        let mut compared = Compared::default();
        let alive = |page: &&Page| page.tenant == tenant && page.behaviour.is_alive();
        for page in self.pages.iter().filter(alive) {
            let arrived = locked(&page.arrived);
            let delivered = accepted.count_common(&arrived);
            compared.due += accepted.count();
            compared.delivered += delivered;
            compared.not_accepted += arrived.count() - delivered;
        }
        compared
    }

    /// How many events a tenant can have.
    pub(crate) fn events_of_tenant(&self) -> usize {
        self.pages.first().map_or(0, |page| locked(&page.arrived).len())
    }

    /// The latencies of the endpoints that are timed.
    pub(crate) fn latencies(&self) -> MutexGuard<'_, Latencies> {
        locked(&self.latencies)
    }

    /// The id, verified where it is this request's turn.
    fn verify<'r>(&self, page: &Page, turn: u64, signed: Signed<'r>, body: &[u8]) -> Result<&'r str, Fault> {
        if !turn.is_multiple_of(self.verify_every) {
            return signed.id.ok_or(Fault::Missing("webhook-id"));
        }
        add(&self.counts.verified);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        page.key.verify(signed, body, unix)
    }

    fn stranger(&self) -> Entry {
        add(&self.counts.strangers);
        Entry::Stranger
    }

    fn count(&self, behaviour: Behaviour, new: bool, arrived_at: u64) {
        let counts = &self.counts;
        match (behaviour, new) {
            (Behaviour::Healthy, true) => add(&counts.healthy),
            (behaviour, true) if behaviour.is_alive() => add(&counts.slow),
            (behaviour, false) if behaviour.is_alive() => add(&counts.duplicates),
            (_, true) => return,
            (_, false) => add(&counts.retries),
        };
        if new {
            counts.last_at.fetch_max(arrived_at, Ordering::Relaxed);
        }
    }

    /// Whether the event came under this id, or under none, before.
    fn is_same_id(&self, event: usize, id: &str) -> bool {
        let digest = self.hasher.hash_one(id).max(1);
        let mut ids = locked(&self.ids);
        // An event number that fits its tenant's page can still be beyond the last event.
        let Some(known) = ids.get_mut(event) else { return true };
        if *known == 0 {
            *known = digest;
        }
        *known == digest
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::hmac;

    use super::super::EndpointPlan;
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    struct Headers {
        id: String,
        timestamp: String,
        signatures: String,
    }

    impl Headers {
        fn signed(&self) -> Signed<'_> {
            Signed {
                id: Some(&self.id),
                timestamp: Some(&self.timestamp),
                signatures: Some(&self.signatures),
            }
        }
    }

    fn sign(id: &str, body: &str) -> Headers {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&SECRET[6..]).unwrap());
        let tag = STANDARD.encode(hmac::sign(&key, format!("{id}.{now}.{body}").as_bytes()));
        Headers { id: id.to_owned(), timestamp: now.to_string(), signatures: format!("v1,{tag}") }
    }

    fn endpoint(tenant: usize, behaviour: Behaviour) -> EndpointPlan {
        let timed = behaviour == Behaviour::Healthy;
        EndpointPlan { tenant, secret: SECRET.to_owned(), behaviour, timed, traced: true }
    }

    fn plan() -> Plan {
        let endpoints = vec![
            endpoint(0, Behaviour::Healthy),
            endpoint(1, Behaviour::Slow { delay_ms: 1 }),
            endpoint(0, Behaviour::Fails),
        ];
        Plan { run: 0, tenants: 2, events: 6, endpoints, verify_every: 1, started_at: 0, slice_micros: 1_000 }
    }

    fn book() -> Book {
        Book::new(&plan()).unwrap()
    }

    fn event(book: &Book, number: usize, id: &str, tenant: usize, event: usize) -> Entry {
        let body = format!(r#"{{"tenant":{tenant},"event":{event},"sent_at":5}}"#);
        book.enter(Place::Endpoint(number), sign(id, &body).signed(), body.as_bytes(), 10)
    }

    #[test]
    fn first_arrivals_repeats_and_retries_are_told_apart() {
        let book = book();
        assert_eq!(event(&book, 0, "msg_4", 0, 4), Entry::Known(Behaviour::Healthy));
        assert_eq!(event(&book, 0, "msg_4", 0, 4), Entry::Known(Behaviour::Healthy));
        event(&book, 1, "msg_5", 1, 5);
        event(&book, 2, "msg_4", 0, 4);
        event(&book, 2, "msg_4", 0, 4);
        let counted =
            Stats { received: 5, healthy: 1, slow: 1, duplicates: 1, retries: 1, ..Stats::default() };
        let stats = Stats { verified: 5, last_at: 10, ..counted };
        assert_eq!(book.stats(), stats);
        assert_eq!(book.latencies().split(0, 100).0.count, 1, "a repeat has no latency");
        let arrived = book.arrived(1).unwrap();
        assert_eq!((arrived.count(), arrived.to_bytes()[0]), (1, 0b100), "event 5 is the third of tenant 1");
        assert!(book.arrived(3).is_none());
        assert_eq!(book.trace(0), Some(vec![10, 10]));
    }

    #[test]
    fn an_event_under_two_ids_was_accepted_twice() {
        let book = book();
        event(&book, 0, "msg_a", 0, 0);
        event(&book, 2, "msg_a", 0, 0);
        assert_eq!(book.stats().accepted_twice, 0);
        event(&book, 0, "msg_b", 0, 0);
        assert_eq!(book.stats().accepted_twice, 1);
    }

    #[test]
    fn forgeries_and_strangers_enter_nothing() {
        let book = book();
        let body = r#"{"tenant":0,"event":0,"sent_at":5}"#;
        let forged = book.enter(Place::Endpoint(0), sign("msg_0", "{}").signed(), body.as_bytes(), 10);
        assert_eq!(forged, Entry::BadSignature(Fault::Wrong));
        assert_eq!(event(&book, 0, "msg_1", 1, 1), Entry::Stranger, "another tenant's event");
        assert_eq!(event(&book, 0, "msg_1", 0, 1), Entry::Stranger, "an event of another tenant's number");
        assert_eq!(event(&book, 0, "msg_1", 0, 6), Entry::Stranger, "an event that was never planned");
        assert_eq!(event(&book, 9, "msg_1", 0, 0), Entry::NoEndpoint);
        let stats = Stats { received: 3, bad_signatures: 1, strangers: 3, verified: 4, ..Stats::default() };
        assert_eq!(book.stats(), stats);
        assert_eq!(book.arrived(0).unwrap().count(), 0);
    }

    #[test]
    fn what_was_accepted_and_what_arrived_are_compared_where_it_is_taken() {
        let book = book();
        let mut accepted = Bits::new(book.events_of_tenant());
        accepted.insert(0);
        accepted.insert(1);
        event(&book, 0, "msg_2", 0, 2);
        event(&book, 0, "msg_4", 0, 4);
        event(&book, 2, "msg_0", 0, 0);
        let compared = Compared { due: 2, delivered: 1, not_accepted: 1 };
        assert_eq!(book.compare(0, &accepted), compared, "the endpoint that fails takes nothing");
    }

    #[test]
    fn what_is_not_counted_and_what_another_run_sent_enter_nothing() {
        let book = Book::new(&Plan { run: 7, ..plan() }).unwrap();
        assert_eq!(event(&book, 0, "msg_0", 0, 0), Entry::Stranger, "of run 0");
        let body = r#"{"run":7,"tenant":0,"event":0,"sent_at":5}"#;
        let headers = sign("msg_0", body);
        let entry = book.enter(Place::NotCounted(0), headers.signed(), body.as_bytes(), 10);
        assert_eq!((entry, book.stats().not_counted), (Entry::NotCounted, 1));
        assert_eq!(book.arrived(0).unwrap().count(), 0);
    }

    #[test]
    fn a_sample_of_the_signatures_is_verified() {
        let book = Book::new(&Plan { verify_every: 3, ..plan() }).unwrap();
        let body = r#"{"tenant":0,"event":0,"sent_at":5}"#;
        let forged = sign("msg_0", "{}");
        let enter = || book.enter(Place::Endpoint(0), forged.signed(), body.as_bytes(), 10);
        assert_eq!(enter(), Entry::BadSignature(Fault::Wrong));
        // A bad one is not received, so that the next is the one whose turn it is.
        assert_eq!(enter(), Entry::BadSignature(Fault::Wrong));
        assert_eq!(event(&book, 0, "msg_0", 0, 0), Entry::Known(Behaviour::Healthy));
        assert_eq!(enter(), Entry::Known(Behaviour::Healthy), "nobody looks");
        assert_eq!(book.stats().verified, 3);
    }
}
