//! The budget under any sequence of calls, against what it promises.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::{Reason, Rejected};

const NAMES: [&str; 3] = ["a", "b", "c"];

type Waiting = BoxFuture<'static, Result<Permit, Rejected>>;

#[derive(Clone, Copy, Debug)]
enum Step {
    Try(usize, u64),
    Wait(usize, u64),
    Poll(prop::sample::Index),
    Leave(prop::sample::Index),
    Release(prop::sample::Index),
    Resize(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..3_usize, 0..9_u64).prop_map(|(share, permits)| Step::Try(share, permits)),
        5 => (0..3_usize, 1..9_u64).prop_map(|(share, permits)| Step::Wait(share, permits)),
        3 => index().prop_map(Step::Poll),
        2 => index().prop_map(Step::Leave),
        5 => index().prop_map(Step::Release),
        1 => (10..24_u64).prop_map(Step::Resize),
    ]
}

/// What waits, as it came: its share, how much, and the future.
struct Waits {
    share: usize,
    permits: u64,
    future: Waiting,
}

struct Front {
    arrival: usize,
    permits: u64,
}

struct World {
    budget: Budget,
    shares: [Share; 3],
    lends: [bool; 3],
    permits: Vec<(usize, Permit)>,
    waits: Vec<Waits>,
    /// Of what no share has, some was taken away while it was lent.
    shrunk: bool,
}

impl World {
    fn new(lends: [bool; 3], given: [u64; 3], limit: u64) -> Self {
        let builder = Budget::builder("budget-model").limit(limit);
        let builder =
            NAMES.iter().zip(given).fold(builder, |builder, (name, share)| builder.share(name, share));
        let lenders = NAMES.iter().zip(lends).filter(|(_, lends)| *lends);
        let budget = lenders.fold(builder, |builder, (name, _)| builder.lends(name)).build().unwrap();
        let shares = NAMES.map(|name| budget.share(name).unwrap());
        Self { budget, shares, lends, permits: Vec::new(), waits: Vec::new(), shrunk: false }
    }

    fn borrowed(&self) -> u64 {
        self.shares.iter().map(Share::borrowed).sum()
    }

    /// The first of each share's line that is still in it.
    fn front(&self, share: usize) -> Option<Front> {
        let in_line = self.shares[share].waiting() as usize;
        let its = || self.waits.iter().enumerate().filter(|(_, wait)| wait.share == share);
        let front = its().nth(its().count() - in_line);
        front.map(|(arrival, wait)| Front { arrival, permits: wait.permits })
    }

    fn check(&self, in_use_before: u64) -> Result<(), TestCaseError> {
        let (limit, in_use) = (self.budget.limit(), self.budget.in_use());
        prop_assert!(in_use <= limit || in_use <= in_use_before, "{in_use} of {limit}");
        prop_assert_eq!(in_use, self.shares.iter().map(Share::in_use).sum::<u64>());
        if in_use > limit {
            return Ok(());
        }
        let kept: u64 =
            self.shares.iter().zip(self.lends).filter(|(_, lends)| !lends).map(|(s, _)| s.available()).sum();
        let unlent = limit - in_use;
        prop_assert!(unlent >= kept || self.shrunk, "the share that is kept was lent");
        if self.borrowed() == 0 {
            for (index, share) in self.shares.iter().enumerate() {
                let own = self.front(index).filter(|front| share.in_use() + front.permits <= share.limit());
                prop_assert!(own.is_none(), "nothing is lent, and {} waits for its own", share.name());
            }
        }
        Ok(())
    }

    fn take(&mut self, share: usize, permits: u64) -> Result<(), TestCaseError> {
        let own = self.shares[share].in_use() + permits <= self.shares[share].limit();
        let (line, lent) = (self.shares[share].waiting(), self.borrowed());
        let owners_wait = (0..3).filter(|other| *other != share).any(|other| {
            let its = &self.shares[other];
            self.front(other).is_some_and(|front| its.in_use() + front.permits <= its.limit())
        });
        match self.shares[share].try_acquire_many(permits) {
            Ok(permit) => {
                prop_assert!(permits == 0 || line == 0, "went past the line");
                prop_assert!(!owners_wait || own || permits == 0, "a borrower took what was awaited");
                self.permits.push((share, permit));
            }
            Err(rejected) if rejected.reason() == Reason::Full => {
                prop_assert!(
                    !own || line > 0 || lent > 0,
                    "its own share was refused, though nothing is lent"
                );
            }
            Err(rejected) => prop_assert!(rejected.reason() == Reason::TooLarge && !own, "{rejected}"),
        }
        Ok(())
    }

    /// Polls one that waits, and those of its share that came before it: nobody is served past them.
    fn poll(&mut self, which: usize) -> Result<(), TestCaseError> {
        let (share, mut passed, mut index) = (self.waits[which].share, false, 0);
        for _ in 0..=which {
            if self.waits[index].share != share {
                index += 1;
                continue;
            }
            match self.waits[index].future.as_mut().now_or_never() {
                Some(result) => {
                    prop_assert!(!passed || result.is_err(), "not in order");
                    self.permits.extend(result.ok().map(|permit| (share, permit)));
                    self.waits.remove(index);
                }
                None => {
                    passed = true;
                    index += 1;
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Try(share, permits) => self.take(share, permits)?,
            Step::Wait(share, permits) => {
                let handle = self.shares[share].clone();
                let future = async move { handle.acquire_many(permits).await }.boxed();
                self.waits.push(Waits { share, permits, future });
                self.poll(self.waits.len() - 1)?;
            }
            Step::Poll(which) if !self.waits.is_empty() => self.poll(which.index(self.waits.len()))?,
            Step::Leave(which) if !self.waits.is_empty() => {
                drop(self.waits.remove(which.index(self.waits.len())));
            }
            Step::Release(which) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(which.index(self.permits.len())));
            }
            Step::Resize(limit) => {
                self.shrunk |= limit < self.budget.limit();
                let shared: u64 = self.shares.iter().map(Share::limit).sum();
                prop_assert_eq!(self.budget.resize(limit).is_ok(), limit >= shared);
                // Those that it made impossible have left the line, and must not count as granted.
                for share in 0..3 {
                    if let Some(last) = self.waits.iter().rposition(|wait| wait.share == share) {
                        self.poll(last)?;
                    }
                }
            }
            Step::Poll(_) | Step::Leave(_) | Step::Release(_) => {}
        }
        Ok(())
    }

    /// Whoever waits is served once what is out comes back; nothing is left behind.
    fn end(mut self) -> Result<(), TestCaseError> {
        while !self.waits.is_empty() || !self.permits.is_empty() {
            let (waits, permits) = (self.waits.len(), self.permits.len());
            self.permits.clear();
            for which in (0..self.waits.len()).rev() {
                let result = self.waits[which].future.as_mut().now_or_never();
                if result.is_some() {
                    self.waits.remove(which);
                }
            }
            prop_assert!(self.waits.len() < waits || permits > 0, "{} wait for ever", self.waits.len());
        }
        prop_assert_eq!((self.budget.in_use(), self.budget.snapshot().waiting), (0, 0));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_never_exceeds_keeps_every_share_and_leaks_nothing(
        lends in any::<[bool; 3]>(), free in 0..3_u64, steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(lends, [5, 3, 2], 10 + free);
        for step in steps {
            let before = world.budget.in_use();
            world.act(step)?;
            world.check(before)?;
        }
        world.end()?;
    }

    #[test]
    fn oversubscribed_it_exceeds_neither_the_bound_nor_a_share_and_serves_in_order_of_arrival(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let builder = Budget::builder("budget-model-over").limit(6).oversubscribed();
        let budget = NAMES.into_iter().fold(builder, |builder, name| builder.share(name, 4)).build().unwrap();
        let shares = NAMES.map(|name| budget.share(name).unwrap());
        let mut world = World { budget, shares, lends: [false; 3], permits: Vec::new(), waits: Vec::new(), shrunk: false };
        for step in steps {
            match step {
                Step::Resize(_) => {}
                Step::Try(share, permits) => {
                    if let Ok(permit) = world.shares[share].try_acquire_many(permits) {
                        world.permits.push((share, permit));
                    }
                }
                step => world.act(step)?,
            }
            prop_assert!(world.budget.in_use() <= 6 && world.shares.iter().all(|share| share.in_use() <= 4));
            // The oldest of those that its own share does not hold back waits for want of room only.
            let able = (0..3).filter_map(|share| {
                let front = world.front(share)?;
                (world.shares[share].in_use() + front.permits <= 4).then_some(front)
            });
            if let Some(oldest) = able.min_by_key(|front| front.arrival) {
                prop_assert!(oldest.permits > 6 - world.budget.in_use());
            }
        }
        world.end()?;
    }
}
