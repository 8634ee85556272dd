//! Where deliveries go, whoever's they are: scheme, host and port, shared by all endpoints on it.
//!
//! How many deliveries a destination has under way finds itself, from the configured ceiling down:
//! additive increase, multiplicative decrease ([`Aimd`]), taught by what tells of too much load, which
//! is no answer, 502, 503 and 504, and not by slowness: the endpoints of one host differ. Retries have a
//! budget: each first try earns a part of one, some come with time, and one that succeeds is given
//! back, so that only those that fail are counted: what an outage can be asked in vain.
//!
//! Who finds no place, or nothing left of the budget, waits without cost, by application in turn.
//!
//! # Invariants
//! - A destination is known while a lane or a delivery uses it: it is forgotten with the last of them.
//! - Who waits is woken by time if by nothing else.

use std::time::Duration;

use plimsoll::Outcome;
use plimsoll::adaptive::{Aimd, Algorithm as _, Sample};
use plimsoll::clock::Instant;
use plimsoll_store::{AppId, EndpointId};
use rustc_hash::FxHashMap;

use super::job::Class;
use super::waiting::Waiting;
use crate::deliver::Destination;

/// How often who waits is looked after, if nothing ends meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What is left of a limit after a delivery that told of too much load.
const BACKOFF: f64 = 0.9;
/// How many seconds of the budget's floor may be spent at once.
const BUDGET_SECONDS: f64 = 10.0;

/// One of the destinations; valid while it is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct DestinationId(usize);

/// What holds for every destination.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Terms {
    /// Deliveries at once at the most.
    pub(crate) concurrency: usize,
    /// How much of a retry each first try earns.
    pub(crate) retries_ratio: f64,
    /// Retries a second, whatever the first tries.
    pub(crate) retries_per_second: f64,
}

/// Why a lane waits at its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    Place = 0,
    /// Its retries wait, until more of them may be made.
    Budget = 1,
}

impl For {
    pub(crate) const ALL: [Self; 2] = [Self::Place, Self::Budget];
}

struct Host {
    name: Destination,
    users: usize,
    in_flight: usize,
    limit: f64,
    algorithm: Aimd,
    /// Retries that may be made, and when that was so.
    budget: (f64, Instant),
    waiting: [Waiting; For::ALL.len()],
    alarm_at: Option<Instant>,
}

pub(crate) struct Destinations {
    terms: Terms,
    by_name: FxHashMap<Destination, usize>,
    hosts: Vec<Option<Host>>,
    free: Vec<usize>,
    /// Those at which a lane began to wait since somebody last set their alarms.
    waited: Vec<DestinationId>,
}

impl Destinations {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, by_name: FxHashMap::default(), hosts: Vec::new(), free: Vec::new(), waited: Vec::new() }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many have less than what is configured.
    pub(crate) fn overloaded(&self) -> usize {
        let ceiling = self.terms.concurrency as f64;
        self.hosts.iter().flatten().filter(|host| host.limit < ceiling).count()
    }

    /// A lane or a delivery uses it from now on, until [`Destinations::leave`].
    pub(crate) fn join(&mut self, name: &Destination, now: Instant) -> DestinationId {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => self.learn(name, now),
        };
        if let Some(host) = &mut self.hosts[at] {
            host.users += 1;
        }
        DestinationId(at)
    }

    fn learn(&mut self, name: &Destination, now: Instant) -> usize {
        let host = Host {
            name: name.clone(),
            users: 0,
            in_flight: 0,
            limit: self.terms.concurrency as f64,
            algorithm: Aimd::new().backoff(BACKOFF).timeout(Duration::MAX),
            budget: (self.budget_max(), now),
            waiting: Default::default(),
            alarm_at: None,
        };
        let at = self.free.pop().unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
            self.hosts.push(Some(host));
        } else {
            self.hosts[at] = Some(host);
        }
        self.by_name.insert(name.clone(), at);
        at
    }

    /// A lane or a delivery does not use it any more.
    pub(crate) fn leave(&mut self, id: DestinationId) {
        let Some(host) = &mut self.hosts[id.0] else { return };
        host.users -= 1;
        if host.users == 0 {
            self.by_name.remove(&host.name);
            self.hosts[id.0] = None;
            self.free.push(id.0);
        }
    }

    pub(crate) fn name(&self, id: DestinationId) -> Option<&Destination> {
        self.host(id).map(|host| &host.name)
    }

    /// How many of what lanes wait for are left now.
    pub(crate) fn free(&mut self, id: DestinationId, what: For, now: Instant) -> usize {
        match what {
            For::Place => self.places(id),
            For::Budget => self.retries(id, now),
        }
    }

    /// How many more deliveries may be begun now.
    pub(crate) fn places(&self, id: DestinationId) -> usize {
        self.host(id).map_or(0, |host| (host.limit as usize).max(1).saturating_sub(host.in_flight))
    }

    /// How many retries may be begun now.
    pub(crate) fn retries(&mut self, id: DestinationId, now: Instant) -> usize {
        let (terms, most) = (self.terms, self.budget_max());
        let Some(host) = &mut self.hosts[id.0] else { return 0 };
        let (left, at) = host.budget;
        let earned = terms.retries_per_second * (now - at).as_secs_f64();
        host.budget = ((left + earned).min(most), at.max(now));
        host.budget.0 as usize
    }

    /// A delivery begins: the delivery uses the destination until it leaves. Returns how
    /// many are under way with it.
    pub(crate) fn begin(&mut self, id: DestinationId, class: Class) -> usize {
        let (terms, most) = (self.terms, self.budget_max());
        let Some(host) = &mut self.hosts[id.0] else { return 0 };
        host.users += 1;
        host.in_flight += 1;
        host.budget.0 = match class {
            Class::Retry => (host.budget.0 - 1.0).max(0.0),
            Class::First => (host.budget.0 + terms.retries_ratio).min(most),
        };
        host.in_flight
    }

    /// A retry succeeded: it counts for nothing.
    pub(crate) fn give_back(&mut self, id: DestinationId) {
        let most = self.budget_max();
        if let Some(host) = &mut self.hosts[id.0] {
            host.budget.0 = (host.budget.0 + 1.0).min(most);
        }
    }

    /// A delivery ended, and is to leave; `in_flight` is what its beginning returned.
    pub(crate) fn release(&mut self, id: DestinationId, strain: Outcome, in_flight: usize, now: Instant) {
        let ceiling = self.terms.concurrency as f64;
        if let Some(host) = &mut self.hosts[id.0] {
            host.in_flight -= 1;
            let sample = Sample::new(now, Duration::from_nanos(1), in_flight as u64).with_outcome(strain);
            host.limit = host.algorithm.update(host.limit, &sample).clamp(1.0, ceiling);
        }
    }

    /// A lane waits until it is returned by [`Destinations::next_waiting`].
    pub(crate) fn wait(&mut self, id: DestinationId, what: For, app: AppId, endpoint: EndpointId) {
        let Some(host) = &mut self.hosts[id.0] else { return };
        if host.alarm_at.is_none() {
            self.waited.push(id);
        }
        host.waiting[what as usize].push(app, endpoint);
    }

    /// Those whose alarms may have to be set.
    pub(crate) fn take_waited(&mut self) -> Vec<DestinationId> {
        std::mem::take(&mut self.waited)
    }

    /// Whose lane waits the longest, by application in turn.
    pub(crate) fn next_waiting(&mut self, id: DestinationId, what: For) -> Option<(AppId, EndpointId)> {
        self.hosts.get_mut(id.0)?.as_mut()?.waiting[what as usize].pop()
    }

    /// When who waits is to be looked after, if that is not set already.
    pub(crate) fn alarm(&mut self, id: DestinationId, now: Instant) -> Option<Instant> {
        let host = self.hosts.get_mut(id.0)?.as_mut()?;
        if host.alarm_at.is_some() || host.waiting.iter().all(Waiting::is_empty) {
            return None;
        }
        host.alarm_at = Some(now + LOOK_AGAIN);
        host.alarm_at
    }

    /// The alarm of then has come; `false` if it was for one that is forgotten.
    pub(crate) fn rang(&mut self, id: DestinationId, at: Instant) -> bool {
        let Some(Some(host)) = self.hosts.get_mut(id.0) else { return false };
        let mine = host.alarm_at == Some(at);
        if mine {
            host.alarm_at = None;
        }
        mine
    }

    fn host(&self, id: DestinationId) -> Option<&Host> {
        self.hosts[id.0].as_ref()
    }

    fn budget_max(&self) -> f64 {
        (self.terms.retries_per_second * BUDGET_SECONDS).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { concurrency: 100, retries_ratio: 0.5, retries_per_second: 2.0 };

    fn name(port: u16) -> Destination {
        Destination { tls: false, host: "a".into(), port }
    }

    fn end(all: &mut Destinations, id: DestinationId, strain: Outcome, in_flight: usize) {
        all.release(id, strain, in_flight, Instant::default());
        all.leave(id);
    }

    #[test]
    fn an_outage_takes_the_limit_down_to_one_and_successes_bring_it_back() {
        let (mut all, now) = (Destinations::new(TERMS), Instant::default());
        let id = all.join(&name(1), now);
        assert_eq!(all.places(id), 100, "what is healthy never feels it");
        for _ in 0..200 {
            let in_flight = all.begin(id, Class::First);
            end(&mut all, id, Outcome::Failure, in_flight);
        }
        assert_eq!(all.places(id), 1);
        let mut rounds = 0;
        while all.places(id) < 100 {
            rounds += 1;
            let begun: Vec<_> = (0..all.places(id)).map(|_| all.begin(id, Class::First)).collect();
            begun.into_iter().for_each(|in_flight| end(&mut all, id, Outcome::Success, in_flight));
        }
        assert!((5..12).contains(&rounds), "slowly at first, twice as many each round: {rounds}");
    }

    #[test]
    fn a_destination_is_forgotten_with_the_last_who_uses_it() {
        let (mut all, now) = (Destinations::new(TERMS), Instant::default());
        let (one, again, other) = (all.join(&name(1), now), all.join(&name(1), now), all.join(&name(2), now));
        assert_eq!((one == again, one == other, all.len()), (true, false, 2));
        let in_flight = all.begin(one, Class::First);
        all.leave(one);
        all.leave(again);
        assert_eq!(all.len(), 2, "a delivery is under way");
        end(&mut all, one, Outcome::Success, in_flight);
        assert_eq!(all.len(), 1);
        assert_eq!(all.join(&name(3), now), one, "its place is used again");
    }

    #[test]
    fn only_retries_that_fail_are_counted() {
        let (mut all, now) = (Destinations::new(TERMS), Instant::default());
        let id = all.join(&name(1), now);
        assert_eq!(all.retries(id, now), 20, "ten seconds of the floor");
        for _ in 0..50 {
            all.begin(id, Class::Retry);
            all.give_back(id);
        }
        assert_eq!(all.retries(id, now), 20);
        for _ in 0..20 {
            all.begin(id, Class::Retry);
        }
        assert_eq!(all.retries(id, now), 0);
        assert_eq!(all.retries(id, now + Duration::from_secs(3)), 6, "the floor");
        for _ in 0..4 {
            all.begin(id, Class::First);
        }
        assert_eq!(all.retries(id, now + Duration::from_secs(3)), 8, "and half of each first try");
    }
}
