//! The queue against a model that is a list of lists.

use std::collections::BTreeMap;
use std::task::Waker;

use proptest::prelude::*;

use super::super::queue::{Queue, Room, Wait};

#[derive(Clone, Debug)]
enum Step {
    Submit(u8),
    Pop,
    Finish(usize),
    Withdraw(usize),
    Evict(u8),
    Claim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..5).prop_map(Step::Submit),
        3 => Just(Step::Pop),
        2 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Withdraw),
        1 => (0u8..5).prop_map(Step::Evict),
        1 => any::<usize>().prop_map(Step::Claim),
    ]
}

/// A job is `(key, number)`; keys have lanes while they have jobs.
type Job = (u8, u32);

#[derive(Default)]
struct Model {
    lanes: BTreeMap<u8, usize>,
    queued: Vec<Job>,
    waiting: Vec<(Job, u64)>,
    running: Vec<Job>,
}

impl Model {
    fn of(&self, key: u8) -> usize {
        self.queued.iter().filter(|job| job.0 == key).count()
    }

    fn release(&mut self, queue: &mut Queue<Job>, key: u8) {
        let waits = self.waiting.iter().any(|(job, _)| job.0 == key);
        let is_idle = self.of(key) == 0 && !waits && !self.running.iter().any(|job| job.0 == key);
        if let Some(lane) = self.lanes.get(&key).copied() {
            assert_eq!(queue.release_if_idle(lane), is_idle);
            if is_idle {
                self.lanes.remove(&key);
            }
        }
    }

    /// Moves those that the queue has let in.
    fn let_in(&mut self, queue: &mut Queue<Job>) {
        loop {
            let before = queue.len();
            assert!(queue.let_in().is_none(), "nobody has left a waker");
            if queue.len() == before {
                break;
            }
            let lanes = &self.lanes;
            let admitted = self.waiting.iter().position(|(job, id)| {
                matches!(
                    queue.poll_wait(lanes[&job.0], *id, &mut Some(Waker::noop().clone())),
                    Wait::Admitted
                )
            });
            let (job, _) = self.waiting.remove(admitted.expect("somebody was let in"));
            let earlier = self.waiting.iter().filter(|(other, _)| other.0 == job.0);
            assert!(earlier.into_iter().all(|(other, _)| other.1 > job.1), "first come, first served");
            self.queued.push(job);
            // The wakers were left by the look above; take them back.
            for (job, id) in std::mem::take(&mut self.waiting) {
                let lane = self.lanes[&job.0];
                assert!(queue.withdraw(lane, id).is_some());
                let id = queue.wait(lane, job);
                self.waiting.push((job, id));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_never_holds_more_than_its_bounds_loses_nothing_and_keeps_order_in_a_lane(
        capacity in 1usize..8, depth in 1usize..5, steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut queue = Queue::new(capacity, depth.min(capacity));
        let (depth, mut model, mut number) = (depth.min(capacity), Model::default(), 0);
        for step in steps {
            match step {
                Step::Submit(key) => {
                    number += 1;
                    let lane = *model.lanes.entry(key).or_insert(queue.free_lane());
                    let room = queue.room(lane);
                    let expected = if model.of(key) >= depth {
                        Room::LaneFull
                    } else if model.queued.len() >= capacity {
                        Room::QueueFull
                    } else {
                        Room::Free
                    };
                    prop_assert_eq!(room, expected);
                    if room == Room::Free {
                        queue.push(lane, (key, number));
                        model.queued.push((key, number));
                    } else {
                        let id = queue.wait(lane, (key, number));
                        model.waiting.push(((key, number), id));
                    }
                }
                Step::Pop => {
                    let popped = queue.pop();
                    prop_assert_eq!(popped.is_some(), !model.queued.is_empty());
                    if let Some((lane, job)) = popped {
                        prop_assert_eq!(lane, model.lanes[&job.0]);
                        let first = model.queued.iter().position(|other| other.0 == job.0).unwrap();
                        prop_assert_eq!(model.queued.remove(first), job);
                        model.running.push(job);
                        model.let_in(&mut queue);
                    }
                }
                Step::Finish(which) if !model.running.is_empty() => {
                    let job = model.running.swap_remove(which % model.running.len());
                    queue.finished(model.lanes[&job.0]);
                    model.release(&mut queue, job.0);
                }
                Step::Withdraw(which) if !model.waiting.is_empty() => {
                    let (job, id) = model.waiting.remove(which % model.waiting.len());
                    let withdrawn = queue.withdraw(model.lanes[&job.0], id);
                    prop_assert_eq!(withdrawn.map(|waiter| waiter.entry), Some(job));
                    prop_assert!(queue.withdraw(model.lanes[&job.0], id).is_none());
                    model.release(&mut queue, job.0);
                }
                Step::Evict(key) if model.lanes.contains_key(&key) => {
                    let evicted = queue.evict(model.lanes[&key]);
                    prop_assert_eq!(evicted.is_some(), !model.queued.is_empty());
                    if let Some((_, job)) = evicted {
                        prop_assert!(job.0 == key || model.of(key) == 0);
                        let longest = model.lanes.keys().map(|key| model.of(*key)).max();
                        prop_assert!(job.0 == key || Some(model.of(job.0)) == longest);
                        let first = model.queued.iter().position(|other| other.0 == job.0).unwrap();
                        prop_assert_eq!(model.queued.remove(first), job);
                        model.let_in(&mut queue);
                        model.release(&mut queue, job.0);
                    }
                }
                Step::Claim(which) if !model.queued.is_empty() => {
                    let job = model.queued.remove(which % model.queued.len());
                    let lane = model.lanes[&job.0];
                    prop_assert_eq!(queue.claim(lane, |other| *other == job), Some(job));
                    prop_assert_eq!(queue.claim(lane, |other| *other == job), None);
                    model.running.push(job);
                    model.let_in(&mut queue);
                }
                _ => {}
            }
            prop_assert_eq!(queue.len(), model.queued.len());
            prop_assert_eq!(queue.waiting(), model.waiting.len());
            prop_assert_eq!(queue.lanes(), model.lanes.len(), "an idle key costs nothing");
            prop_assert!(queue.len() <= capacity);
            for (key, lane) in &model.lanes {
                prop_assert!(queue.lane_len(*lane) <= depth);
                prop_assert_eq!(queue.lane_len(*lane), model.of(*key));
                let waits = model.waiting.iter().any(|(job, _)| job.0 == *key);
                let has_room = model.of(*key) < depth && queue.len() < capacity;
                prop_assert!(!(waits && has_room), "whoever could be let in, has been");
            }
        }
    }

    #[test]
    fn lanes_take_turns(sizes in prop::collection::vec(1usize..6, 1..6)) {
        let mut queue = Queue::new(100, 100);
        for (lane, size) in sizes.iter().enumerate() {
            (0..*size).for_each(|n| queue.push(lane, (lane, n)));
        }
        let served: Vec<_> = queue.take_all().into_iter().map(|(_, job)| job).collect();
        let rounds = 0..*sizes.iter().max().unwrap();
        let expected = rounds.flat_map(|n| {
            let lanes = sizes.iter().enumerate().filter(move |(_, size)| n < **size);
            lanes.map(move |(lane, _)| (lane, n))
        });
        prop_assert_eq!(served, expected.collect::<Vec<_>>());
    }
}
