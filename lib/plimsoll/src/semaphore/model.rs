//! The semaphore against a model that anybody can read.

use std::collections::VecDeque;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::{Reason, Rejected};

/// What a semaphore should be: numbers and a queue.
struct Model {
    limit: u64,
    in_use: u64,
    observing: bool,
    line: VecDeque<(usize, u64)>,
    /// By waiter: what it was told, once it was told something.
    told: Vec<Option<Result<(), Reason>>>,
}

impl Model {
    fn fits(&self, permits: u64) -> bool {
        self.in_use + permits <= self.limit
    }

    fn try_acquire(&mut self, permits: u64) -> Result<(), Reason> {
        if permits == 0 {
            Ok(())
        } else if self.observing {
            self.in_use += permits;
            Ok(())
        } else if permits > self.limit {
            Err(Reason::TooLarge)
        } else if self.line.is_empty() && self.fits(permits) {
            self.in_use += permits;
            Ok(())
        } else {
            Err(Reason::Full)
        }
    }

    fn let_through(&mut self) {
        for (waiter, permits) in self.line.drain(..) {
            self.in_use += permits;
            self.told[waiter] = Some(Ok(()));
        }
    }

    fn serve(&mut self) {
        let limit = self.limit;
        for (waiter, _) in self.line.iter().filter(|(_, permits)| *permits > limit) {
            self.told[*waiter] = Some(Err(Reason::TooLarge));
        }
        self.line.retain(|(_, permits)| *permits <= limit);
        while let Some((waiter, permits)) =
            self.line.front().copied().filter(|(_, permits)| self.fits(*permits))
        {
            self.line.pop_front();
            self.in_use += permits;
            self.told[waiter] = Some(Ok(()));
        }
    }
}

type Waiting = BoxFuture<'static, Result<OwnedPermit, Rejected>>;

#[derive(Clone, Debug)]
enum Step {
    Try(u64),
    Wait(u64),
    Poll(prop::sample::Index),
    Leave(prop::sample::Index),
    Release(prop::sample::Index),
    Split(prop::sample::Index, u64),
    Resize(u64),
    Observe(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..7_u64).prop_map(Step::Try),
        5 => (0..7_u64).prop_map(Step::Wait),
        4 => index().prop_map(Step::Poll),
        2 => index().prop_map(Step::Leave),
        4 => index().prop_map(Step::Release),
        1 => (index(), 0..4_u64).prop_map(|(index, permits)| Step::Split(index, permits)),
        1 => (0..9_u64).prop_map(Step::Resize),
        1 => any::<bool>().prop_map(Step::Observe),
    ]
}

proptest! {
    #[test]
    fn it_never_exceeds_never_leaks_and_serves_in_order(steps in proptest::collection::vec(step(), 1..120)) {
        let semaphore = Semaphore::new(5).unwrap();
        let mut model = Model { limit: 5, in_use: 0, observing: false, line: VecDeque::new(), told: Vec::new() };
        let mut permits: Vec<OwnedPermit> = Vec::new();
        let mut waiters: Vec<(usize, u64, Waiting)> = Vec::new();
        let mut admitted = 0;
        for step in steps {
            match step {
                Step::Try(many) => {
                    let got = semaphore.try_acquire_many_owned(many);
                    let told = got.as_ref().map(|_| ()).map_err(Rejected::reason);
                    prop_assert_eq!(told, model.try_acquire(many));
                    admitted += u64::from(told.is_ok() && many > 0);
                    permits.extend(got);
                }
                Step::Wait(many) => {
                    let handle = semaphore.clone();
                    let mut waiting: Waiting = async move { handle.acquire_many_owned(many).await }.boxed();
                    match (waiting.as_mut().now_or_never(), model.try_acquire(many)) {
                        (None, Err(Reason::Full)) => {
                            let waiter = model.told.len();
                            model.told.push(None);
                            model.line.push_back((waiter, many));
                            waiters.push((waiter, many, waiting));
                        }
                        (Some(got), told) => {
                            prop_assert_eq!(got.as_ref().map(|_| ()).map_err(Rejected::reason), told);
                            admitted += u64::from(told.is_ok() && many > 0);
                            permits.extend(got);
                        }
                        (None, told) => prop_assert!(false, "it waits, but the model says {told:?}"),
                    }
                }
                Step::Poll(which) if !waiters.is_empty() => {
                    let which = which.index(waiters.len());
                    let got = waiters[which].2.as_mut().now_or_never();
                    let told = got.as_ref().map(|got| got.as_ref().map(|_| ()).map_err(Rejected::reason));
                    prop_assert_eq!(told, model.told[waiters[which].0]);
                    if let Some(got) = got {
                        admitted += u64::from(got.is_ok());
                        permits.extend(got);
                        drop(waiters.swap_remove(which));
                    }
                }
                Step::Leave(which) if !waiters.is_empty() => {
                    let (waiter, many, waiting) = waiters.swap_remove(which.index(waiters.len()));
                    drop(waiting);
                    model.line.retain(|(other, _)| *other != waiter);
                    if model.told[waiter] == Some(Ok(())) {
                        model.in_use -= many;
                    }
                    model.serve();
                }
                Step::Release(which) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which.index(permits.len()));
                    model.in_use -= permit.permits();
                    drop(permit);
                    model.serve();
                }
                Step::Split(which, part) if !permits.is_empty() => {
                    let which = which.index(permits.len());
                    let part = permits[which].split(part);
                    permits.extend(part);
                }
                Step::Resize(limit) => {
                    prop_assert_eq!(semaphore.resize(limit).is_ok(), limit > 0);
                    if limit > 0 {
                        model.limit = limit;
                        model.serve();
                    }
                }
                Step::Observe(observing) => {
                    semaphore.set_enforced_ratio(if observing { 0.0 } else { 1.0 }).unwrap();
                    model.observing = observing;
                    if observing {
                        model.let_through();
                    }
                }
                Step::Poll(_) | Step::Leave(_) | Step::Release(_) | Step::Split(..) => {}
            }
            prop_assert_eq!(semaphore.in_use(), model.in_use);
            prop_assert_eq!(semaphore.available(), model.limit.saturating_sub(model.in_use));
            prop_assert_eq!(semaphore.waiting(), model.line.len() as u64);
            prop_assert_eq!(semaphore.snapshot().admitted, admitted);
        }
        drop(waiters);
        drop(permits);
        prop_assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0));
        prop_assert!(semaphore.try_acquire_many(semaphore.limit()).is_ok());
    }
}
