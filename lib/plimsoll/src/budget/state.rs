//! What all handles of a budget share.
//!
//! # Invariants
//! - Every permit that is taken from the ledger is in a live [`Permit`](super::Permit), or in a slot of a
//!   line that is marked granted.
//! - Whenever the lock is free, nobody is first in a line whose claim can be met.
//!
//! # Lock order
//! One lock; no waker is cloned, woken or dropped, and nothing else is locked, under it.

use std::task::Waker;
use std::time::Duration;

use super::ledger::{Account, Claim, Ledger, Rule};
use crate::counters::Counters;
use crate::observe::Enforcement;
use crate::registry::{Bound, Kind, Registration, Snapshot};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::waiters::{Ticket, Waiters, Wakes};
use crate::{Invalid, Name, Reason, Rejected};

pub(super) const PERMITS_MAX: u64 = 1 << 42;

pub(super) struct State {
    name: Name,
    labels: Box<[Label]>,
    counters: Counters,
    enforcement: Enforcement,
    desk: Mutex<Desk>,
    _registration: Option<Registration>,
}

/// What a share is called, and what happened to it off the fast path.
pub(super) struct Label {
    /// As it was given to the builder.
    pub(super) share: Name,
    /// With the budget's name before it, for a rejection.
    pub(super) full: Name,
    pub(super) counters: Counters,
}

struct Desk {
    ledger: Ledger,
    lines: Box<[Line]>,
    waiting: usize,
    arrivals: u64,
    high_water: u64,
    /// Its limit or a share is not what it was built with.
    changed: bool,
}

struct Line {
    waiters: Waiters<Waiter>,
    admitted: u64,
    high_water: u64,
}

struct Waiter {
    claim: Claim,
    turn: Turn,
}

enum Turn {
    Waiting(Waker),
    Granted,
    /// A change made it larger than its share can ever have.
    TooLarge,
}

/// What became of the wish to wait.
pub(super) enum Enrolled {
    Admitted,
    Queued(Ticket),
    TooLarge,
}

impl State {
    pub(super) fn new(
        name: Name,
        labels: Box<[Label]>,
        ledger: Ledger,
        registration: Option<Registration>,
    ) -> Self {
        let line = || Line { waiters: Waiters::new(), admitted: 0, high_water: 0 };
        let lines = labels.iter().map(|_| line()).collect();
        let desk = Desk { ledger, lines, waiting: 0, arrivals: 0, high_water: 0, changed: false };
        Self {
            name,
            labels,
            counters: Counters::new(),
            enforcement: Enforcement::new(),
            desk: Mutex::new(desk),
            _registration: registration,
        }
    }

    pub(super) const fn name(&self) -> Name {
        self.name
    }

    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub(super) const fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Takes, or says why not; what is refused while it observes is taken all the same.
    pub(super) fn try_take(&self, share: usize, permits: u64) -> Result<(), Rejected> {
        if permits == 0 {
            return Ok(());
        }
        let mut desk = self.desk();
        let Err(reason) = desk.try_take(share, permits) else { return Ok(()) };
        drop(desk);
        if self.waives(share, permits) { Ok(()) } else { Err(self.refuse(share, reason)) }
    }

    /// Takes, or puts the caller at the end of the share's line.
    pub(super) fn enrol(&self, share: usize, permits: u64, waker: &Waker) -> Enrolled {
        let waker = waker.clone();
        let mut desk = self.desk();
        let Err(reason) = desk.try_take(share, permits) else { return Enrolled::Admitted };
        if permits <= PERMITS_MAX && self.enforcement.waives() {
            desk.take(share, permits);
            drop(desk);
            self.count_waived(share);
            return Enrolled::Admitted;
        }
        if reason == Reason::TooLarge {
            return Enrolled::TooLarge;
        }
        let claim = Claim { permits, arrival: desk.arrivals };
        desk.arrivals += 1;
        desk.waiting += 1;
        Enrolled::Queued(desk.lines[share].waiters.push(Waiter { claim, turn: Turn::Waiting(waker) }))
    }

    /// Looks whether it is the ticket's turn; the ticket is used up when there is an answer.
    pub(super) fn poll_turn(
        &self,
        share: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Option<Result<(), Reason>> {
        // Before the lock, and so dropped after it.
        let mut waker = waker.clone();
        let mut desk = self.desk();
        let line = &mut desk.lines[share];
        let waiter = line.waiters.get_mut(ticket.as_ref()?);
        if let Turn::Waiting(known) = &mut waiter.turn {
            std::mem::swap(known, &mut waker);
            return None;
        }
        let (waiter, _) = line.waiters.remove(ticket.take()?);
        match waiter.turn {
            Turn::TooLarge => Some(Err(Reason::TooLarge)),
            Turn::Granted | Turn::Waiting(_) => {
                line.admitted += 1;
                Some(Ok(()))
            }
        }
    }

    /// Leaves the line, and passes on what was already granted.
    pub(super) fn leave(&self, share: usize, ticket: Ticket) {
        let mut desk = self.desk();
        let (waiter, queued) = desk.lines[share].waiters.remove(ticket);
        if queued {
            desk.waiting -= 1;
        }
        if let Turn::Granted = waiter.turn {
            desk.ledger.give_back(share, waiter.claim.permits);
        }
        // Those behind it may fit now that it is gone.
        self.serve(desk);
        drop(waiter);
    }

    pub(super) fn release(&self, share: usize, permits: u64) {
        if permits > 0 {
            let mut desk = self.desk();
            desk.ledger.give_back(share, permits);
            self.serve(desk);
        }
    }

    pub(super) fn resize(&self, limit: u64) -> Result<(), Invalid> {
        let mut desk = self.desk();
        let mut ledger = desk.ledger.clone();
        ledger.set_limit(limit);
        check(self.name, &ledger)?;
        (desk.ledger, desk.changed) = (ledger, true);
        self.after_change(desk);
        Ok(())
    }

    pub(super) fn set_shares(&self, shares: &[(&str, u64)]) -> Result<(), Invalid> {
        let mut desk = self.desk();
        let mut ledger = desk.ledger.clone();
        for (share, permits) in shares {
            ledger.set_share(self.find(share)?, *permits);
        }
        check(self.name, &ledger)?;
        (desk.ledger, desk.changed) = (ledger, true);
        self.after_change(desk);
        Ok(())
    }

    pub(super) fn set_enforced_ratio(&self, ratio: f64) -> Result<(), Invalid> {
        self.enforcement.set_ratio(self.name, ratio)?;
        if ratio == 0.0 {
            // Whoever waits would not have waited.
            self.answer(self.desk(), |desk, wakes| desk.grant_all(wakes, |share| self.count_waived(share)));
        }
        Ok(())
    }

    pub(super) fn find(&self, share: &str) -> Result<usize, Invalid> {
        let unknown =
            || Invalid::new(self.name, "share", format_args!("{share:?}"), "a share it was built with");
        self.labels.iter().position(|label| label.share.as_str() == share).ok_or_else(unknown)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// Serves the lines, unlocks, and wakes whoever was granted.
    fn serve<'a>(&'a self, desk: MutexGuard<'a, Desk>) {
        if desk.waiting > 0 {
            self.answer(desk, Desk::grant);
        }
    }

    fn after_change<'a>(&'a self, mut desk: MutexGuard<'a, Desk>) {
        let refused = desk.refuse_too_large();
        self.serve(desk);
        refused.into_iter().for_each(Waker::wake);
    }

    /// Does `step` until it says that it did not stop for want of room; unlocks and wakes after each.
    fn answer<'a>(
        &'a self,
        mut desk: MutexGuard<'a, Desk>,
        mut step: impl FnMut(&mut Desk, &mut Wakes) -> bool,
    ) {
        let mut wakes = Wakes::new();
        while step(&mut desk, &mut wakes) {
            drop(desk);
            wakes.wake_all();
            desk = self.desk();
        }
        drop(desk);
        wakes.wake_all();
    }

    fn waives(&self, share: usize, permits: u64) -> bool {
        // What is larger than any limit is a mistake, and could not be counted.
        let waived = permits <= PERMITS_MAX && self.enforcement.waives();
        if waived {
            self.desk().take(share, permits);
            self.count_waived(share);
        }
        waived
    }

    fn count_waived(&self, share: usize) {
        self.counters.would_reject();
        self.labels[share].counters.would_reject();
    }
}

/// Checks what a builder or a change would make of it.
pub(super) fn check(name: Name, ledger: &Ledger) -> Result<(), Invalid> {
    const ALLOWED: &str = "1 to 4,398,046,511,104 permits";
    let in_range = |permits: u64| (1..=PERMITS_MAX).contains(&permits);
    if !in_range(ledger.limit()) {
        return Err(Invalid::new(name, "limit", ledger.limit(), ALLOWED));
    }
    if let Some(bad) = ledger.accounts().iter().find(|account| !in_range(account.share)) {
        return Err(Invalid::new(name, "share", bad.share, ALLOWED));
    }
    if ledger.rule() == Rule::Guaranteed && ledger.shared_out() > ledger.limit() {
        let allowed = "shares that add up to the limit at the most, unless it is oversubscribed";
        return Err(Invalid::new(name, "share", format_args!("{} in all", ledger.shared_out()), allowed));
    }
    Ok(())
}

/// Counting.
impl State {
    pub(super) fn limit(&self) -> u64 {
        self.desk().ledger.limit()
    }

    pub(super) fn in_use(&self) -> u64 {
        self.desk().ledger.in_use()
    }

    pub(super) fn account(&self, share: usize) -> Account {
        self.desk().ledger.account(share)
    }

    pub(super) fn waiting(&self, share: usize) -> u64 {
        self.desk().lines[share].waiters.queued() as u64
    }

    pub(super) fn is_as_built(&self) -> bool {
        let desk = self.desk();
        !desk.changed && desk.waiting == 0 && desk.ledger.in_use() == 0 && self.enforcement.ratio() == 1.0
    }

    pub(super) fn waited(&self, share: usize, time: Duration) {
        self.counters.waited(time);
        self.labels[share].counters.waited(time);
    }

    #[cold]
    pub(super) fn refuse(&self, share: usize, reason: Reason) -> Rejected {
        self.counters.reject(reason);
        let label = &self.labels[share];
        label.counters.reject(reason);
        let desk = self.desk();
        let (account, waiting) = (desk.ledger.account(share), desk.lines[share].waiters.queued());
        let limit = if reason == Reason::TooLarge { desk.ledger.most(share) } else { account.share };
        Rejected::new(label.full, reason).with_use(limit, account.in_use, waiting as u64)
    }

    pub(super) fn share_snapshot(&self, share: usize) -> Snapshot {
        let label = &self.labels[share];
        let mut snapshot = Snapshot::new(label.full, Kind::Budget);
        {
            let desk = self.desk();
            let (account, line) = (desk.ledger.account(share), &desk.lines[share]);
            snapshot.limit = account.share;
            snapshot.in_use = account.in_use;
            snapshot.high_water = line.high_water;
            snapshot.waiting = line.waiters.queued() as u64;
            snapshot.admitted = line.admitted;
            snapshot.details = vec![("borrowed", account.in_use.saturating_sub(account.share))];
        }
        label.counters.show(&mut snapshot);
        snapshot
    }
}

impl Bound for State {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(self.name, Kind::Budget);
        {
            let desk = self.desk();
            snapshot.limit = desk.ledger.limit();
            snapshot.in_use = desk.ledger.in_use();
            snapshot.high_water = desk.high_water;
            snapshot.waiting = desk.waiting as u64;
            snapshot.admitted = desk.lines.iter().map(|line| line.admitted).sum();
            let accounts = desk.ledger.accounts().iter();
            let borrowed = |account: &Account| account.in_use.saturating_sub(account.share);
            snapshot.details = vec![("borrowed", accounts.clone().map(borrowed).sum())];
            let shares = self.labels.iter().zip(accounts);
            snapshot.details.extend(shares.map(|(label, account)| (label.share.as_str(), account.in_use)));
        }
        self.counters.show(&mut snapshot);
        snapshot
    }
}

impl Desk {
    fn fronts(&mut self) -> [Option<Claim>; super::builder::SHARES_MAX] {
        let mut fronts = [None; super::builder::SHARES_MAX];
        if self.waiting > 0 {
            for (front, line) in fronts.iter_mut().zip(&mut self.lines) {
                *front = line.waiters.first_mut().map(|waiter| waiter.claim);
            }
        }
        fronts
    }

    fn try_take(&mut self, share: usize, permits: u64) -> Result<(), Reason> {
        if permits > self.ledger.most(share) {
            return Err(Reason::TooLarge);
        }
        let claim = Claim { permits, arrival: self.arrivals };
        let fronts = self.fronts();
        if fronts[share].is_some() || !self.ledger.fits(share, claim, &fronts) {
            return Err(Reason::Full);
        }
        self.take(share, permits);
        Ok(())
    }

    fn take(&mut self, share: usize, permits: u64) {
        self.ledger.take(share, permits);
        self.lines[share].admitted += 1;
        self.note_use(share);
    }

    fn note_use(&mut self, share: usize) {
        self.high_water = self.high_water.max(self.ledger.in_use());
        let line = &mut self.lines[share];
        line.high_water = line.high_water.max(self.ledger.account(share).in_use);
    }

    /// True when it stopped because there was no room for more wakers.
    fn grant(&mut self, wakes: &mut Wakes) -> bool {
        while self.waiting > 0 {
            let fronts = self.fronts();
            let Some(share) = self.ledger.next(&fronts[..self.lines.len()]) else { return false };
            if wakes.is_full() {
                return true;
            }
            self.grant_first(share, wakes);
        }
        false
    }

    /// Grants to everybody, whatever the limit, and tells of which share each is; true when there was no
    /// room for more wakers.
    fn grant_all(&mut self, wakes: &mut Wakes, mut count: impl FnMut(usize)) -> bool {
        for share in 0..self.lines.len() {
            while self.lines[share].waiters.queued() > 0 {
                if wakes.is_full() {
                    return true;
                }
                self.grant_first(share, wakes);
                count(share);
            }
        }
        false
    }

    fn grant_first(&mut self, share: usize, wakes: &mut Wakes) {
        let waiters = &mut self.lines[share].waiters;
        let Some(first) = waiters.first_mut() else { return };
        let permits = first.claim.permits;
        if let Turn::Waiting(waker) = std::mem::replace(&mut first.turn, Turn::Granted) {
            wakes.push(waker);
        }
        waiters.call_first();
        self.waiting -= 1;
        self.ledger.take(share, permits);
        self.note_use(share);
    }

    /// Answers those that a change has made impossible; returns their wakers, to be woken unlocked.
    fn refuse_too_large(&mut self) -> Vec<Waker> {
        // All in one go: whoever stays would be looked at again for each few that are woken.
        let mut wakers = Vec::new();
        for share in 0..self.lines.len() {
            let most = self.ledger.most(share);
            let waiters = &mut self.lines[share].waiters;
            let before = waiters.queued();
            waiters.call_unless(|waiter| {
                if waiter.claim.permits <= most {
                    return true;
                }
                if let Turn::Waiting(waker) = std::mem::replace(&mut waiter.turn, Turn::TooLarge) {
                    wakers.push(waker);
                }
                false
            });
            self.waiting -= before - waiters.queued();
        }
        wakers
    }
}
