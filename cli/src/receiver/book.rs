//! What arrived, exactly.
//!
//! # Lock order
//! One lock at a time: the page of an endpoint, then the ids, then the latencies, none across an
//! await.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::latencies::Latencies;
use super::signature::{Fault, Key};
use super::{Behaviour, Bits, Plan};

/// The books of a run.
pub(crate) struct Book {
    tenants: usize,
    pages: Vec<Page>,
    // A digest of the id that each event came under; 0 is none yet.
    ids: Mutex<Vec<u64>>,
    hasher: rustc_hash::FxBuildHasher,
    latencies: Mutex<Latencies>,
    counts: Counts,
}

/// What became of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Signed well and known; the endpoint does as it behaves.
    Known(Behaviour),
    /// Not signed well.
    BadSignature(Fault),
    /// Signed well, but not an event of this endpoint.
    Stranger,
    /// There is no such endpoint.
    NoEndpoint,
}

/// The counters of a run, as the control port shows them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Requests with a good signature.
    pub(crate) received: u64,
    /// Different (event, endpoint) pairs that healthy endpoints took.
    pub(crate) healthy: u64,
    /// Different (event, endpoint) pairs that slow endpoints took.
    pub(crate) slow: u64,
    /// Repeats to healthy and slow endpoints: what a receiver has to drop by the id.
    pub(crate) duplicates: u64,
    /// Repeats to endpoints that fail or hang: they asked for them.
    pub(crate) retries: u64,
    /// Requests whose signature is missing, stale or wrong.
    pub(crate) bad_signatures: u64,
    /// Well-signed requests that do not belong where they arrived.
    pub(crate) strangers: u64,
    /// Arrivals of an event under another id than before: it was accepted twice.
    pub(crate) accepted_twice: u64,
}

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    healthy: AtomicU64,
    slow: AtomicU64,
    duplicates: AtomicU64,
    retries: AtomicU64,
    bad_signatures: AtomicU64,
    strangers: AtomicU64,
    accepted_twice: AtomicU64,
}

struct Page {
    tenant: usize,
    key: Key,
    behaviour: Behaviour,
    arrived: Mutex<Bits>,
}

/// What the demo sends, as far as the receiver reads it.
#[derive(Deserialize)]
struct Payload {
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
            let arrived = Mutex::new(Bits::new(events));
            Ok(Page { tenant: endpoint.tenant, key, behaviour: endpoint.behaviour, arrived })
        };
        Ok(Self {
            tenants: plan.tenants,
            pages: plan.endpoints.iter().enumerate().map(page).collect::<Result<_, String>>()?,
            ids: Mutex::new(vec![0; plan.events]),
            hasher: rustc_hash::FxBuildHasher,
            latencies: Mutex::new(Latencies::new(plan.started_at, plan.slice_micros)),
            counts: Counts::default(),
        })
    }

    /// Enters one request; `arrived_at` in [`machine_micros`](super::machine_micros).
    pub(crate) fn enter(&self, endpoint: usize, headers: &HeaderMap, body: &[u8], arrived_at: u64) -> Entry {
        let Some(page) = self.pages.get(endpoint) else { return Entry::NoEndpoint };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let id = match page.key.verify(headers, body, unix) {
            Ok(id) => id,
            Err(fault) => {
                add(&self.counts.bad_signatures);
                return Entry::BadSignature(fault);
            }
        };
        add(&self.counts.received);
        let known = serde_json::from_slice(body)
            .ok()
            .filter(|sent: &Payload| sent.tenant == page.tenant && sent.event % self.tenants == page.tenant)
            .and_then(|sent| Some((locked(&page.arrived).insert(sent.event / self.tenants)?, sent)));
        let Some((new, sent)) = known else {
            add(&self.counts.strangers);
            return Entry::Stranger;
        };
        if !self.is_same_id(sent.event, id) {
            add(&self.counts.accepted_twice);
        }
        match (page.behaviour, new) {
            (Behaviour::Healthy, true) => {
                add(&self.counts.healthy);
                locked(&self.latencies).record(sent.sent_at, arrived_at);
            }
            (Behaviour::Slow { .. }, true) => add(&self.counts.slow),
            (Behaviour::Healthy | Behaviour::Slow { .. }, false) => add(&self.counts.duplicates),
            (_, true) => {}
            (_, false) => add(&self.counts.retries),
        }
        Entry::Known(page.behaviour)
    }

    /// The counters now.
    pub(crate) fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            received: read(&self.counts.received),
            healthy: read(&self.counts.healthy),
            slow: read(&self.counts.slow),
            duplicates: read(&self.counts.duplicates),
            retries: read(&self.counts.retries),
            bad_signatures: read(&self.counts.bad_signatures),
            strangers: read(&self.counts.strangers),
            accepted_twice: read(&self.counts.accepted_twice),
        }
    }

    /// Which events of its tenant arrived at an endpoint: event `n` as number `n / tenants`.
    pub(crate) fn arrived(&self, endpoint: usize) -> Option<Bits> {
        self.pages.get(endpoint).map(|page| locked(&page.arrived).clone())
    }

    /// The latencies of healthy endpoints.
    pub(crate) fn latencies(&self) -> MutexGuard<'_, Latencies> {
        locked(&self.latencies)
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

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
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

    fn signed(id: &str, body: &str) -> HeaderMap {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&SECRET[6..]).unwrap());
        let tag = STANDARD.encode(hmac::sign(&key, format!("{id}.{now}.{body}").as_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
        headers.insert("webhook-signature", format!("v1,{tag}").parse().unwrap());
        headers
    }

    fn book() -> Book {
        let endpoint = |tenant, behaviour| EndpointPlan { tenant, secret: SECRET.to_owned(), behaviour };
        let endpoints = vec![
            endpoint(0, Behaviour::Healthy),
            endpoint(1, Behaviour::Slow { delay_ms: 1 }),
            endpoint(0, Behaviour::Fails),
        ];
        Book::new(&Plan { tenants: 2, events: 6, endpoints, started_at: 0, slice_micros: 1_000 }).unwrap()
    }

    fn event(book: &Book, endpoint: usize, id: &str, tenant: usize, event: usize) -> Entry {
        let body = format!(r#"{{"tenant":{tenant},"event":{event},"sent_at":5}}"#);
        book.enter(endpoint, &signed(id, &body), body.as_bytes(), 10)
    }

    #[test]
    fn first_arrivals_repeats_and_retries_are_told_apart() {
        let book = book();
        assert_eq!(event(&book, 0, "msg_4", 0, 4), Entry::Known(Behaviour::Healthy));
        assert_eq!(event(&book, 0, "msg_4", 0, 4), Entry::Known(Behaviour::Healthy));
        event(&book, 1, "msg_5", 1, 5);
        event(&book, 2, "msg_4", 0, 4);
        event(&book, 2, "msg_4", 0, 4);
        let stats = Stats { received: 5, healthy: 1, slow: 1, duplicates: 1, retries: 1, ..Stats::default() };
        assert_eq!(book.stats(), stats);
        assert_eq!(book.latencies().split(0, 100).0.count, 1, "a repeat has no latency");
        let arrived = book.arrived(1).unwrap();
        assert_eq!((arrived.count(), arrived.to_bytes()[0]), (1, 0b100), "event 5 is the third of tenant 1");
        assert!(book.arrived(3).is_none());
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
        let forged = book.enter(0, &signed("msg_0", "{}"), body.as_bytes(), 10);
        assert_eq!(forged, Entry::BadSignature(Fault::Wrong));
        assert_eq!(event(&book, 0, "msg_1", 1, 1), Entry::Stranger, "another tenant's event");
        assert_eq!(event(&book, 0, "msg_1", 0, 1), Entry::Stranger, "an event of another tenant's number");
        assert_eq!(event(&book, 0, "msg_1", 0, 6), Entry::Stranger, "an event that was never planned");
        assert_eq!(event(&book, 9, "msg_1", 0, 0), Entry::NoEndpoint);
        let stats = Stats { received: 3, bad_signatures: 1, strangers: 3, ..Stats::default() };
        assert_eq!(book.stats(), stats);
        assert_eq!(book.arrived(0).unwrap().count(), 0);
    }
}
