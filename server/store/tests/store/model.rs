//! Any history leaves the store as it leaves a model of it in memory, restarts and crashes included.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_store::*;
use proptest::prelude::*;

use crate::made::*;

const MESSAGES: usize = 4;
const ENDPOINTS: usize = 3;
/// One of the three is not to be sent to.
const DELIVERIES: u64 = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Accept { message: usize },
    Attempt { message: usize, endpoint: usize, number: u32, retry_in: Option<u8>, by_hand: bool, again: bool },
    Defer { message: usize, endpoint: usize, wait: u8, priority: u8 },
    Drop { message: usize, endpoint: usize },
    Advance { message: usize, frontier: u64 },
    Finish { message: usize },
    Bury { endpoint: usize },
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let (message, endpoint) = (0..MESSAGES, 0..ENDPOINTS);
    let pair = (message.clone(), endpoint.clone());
    prop_oneof![
        4 => message.clone().prop_map(|message| Step::Accept { message }),
        8 => (pair.clone(), 1..4_u32, any::<Option<u8>>(), any::<bool>(), any::<bool>()).prop_map(
            |((message, endpoint), number, retry_in, by_hand, again)| Step::Attempt {
                message, endpoint, number, retry_in, by_hand, again
            }
        ),
        4 => (pair.clone(), any::<u8>(), 0..3_u8).prop_map(|((message, endpoint), wait, priority)| {
            Step::Defer { message, endpoint, wait, priority }
        }),
        2 => pair.prop_map(|(message, endpoint)| Step::Drop { message, endpoint }),
        3 => (message.clone(), 0..4_u64).prop_map(|(message, frontier)| Step::Advance { message, frontier }),
        2 => message.prop_map(|message| Step::Finish { message }),
        1 => endpoint.prop_map(|endpoint| Step::Bury { endpoint }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

/// What the store is to hold.
#[derive(Default)]
struct Model {
    accepted: BTreeSet<usize>,
    fanouts: BTreeMap<usize, u64>,
    attempts: BTreeMap<(usize, usize, u32), (AttemptId, AttemptState)>,
    /// By message, endpoint and trigger: due time, priority and tries.
    due: BTreeMap<(usize, usize, Trigger), (UnixMillis, u8, u32)>,
    buried: BTreeSet<usize>,
    last: Option<NewAttempt>,
}

impl Model {
    fn attempt(&mut self, new: &NewAttempt, message: usize, endpoint: usize) {
        if self.attempts.values().any(|(id, _)| *id == new.id) {
            return;
        }
        let buried = self.buried.contains(&endpoint);
        let (state, due_at) = match new.next {
            Next::End(state) => (state, None),
            Next::Retry { .. } if buried => (AttemptState::Failed, None),
            Next::Retry { due_at } => (AttemptState::Retrying, Some(due_at)),
        };
        let mut number = new.number;
        while self.attempts.contains_key(&(message, endpoint, number)) {
            number += 1;
        }
        self.attempts.insert((message, endpoint, number), (new.id, state));
        let key = (message, endpoint, new.trigger);
        match due_at {
            None => drop(self.due.remove(&key)),
            Some(due_at) => {
                let priority = self.due.get(&key).map_or(0, |due| due.1);
                self.due.insert(key, (due_at, priority, new.number));
            }
        }
    }
}

struct World {
    made: Made,
    app: AppId,
    messages: Vec<NewMessage>,
    endpoints: Vec<EndpointId>,
    model: Model,
}

impl World {
    async fn new() -> Self {
        let made = Made::new().await;
        let app = made.app().await;
        let mut endpoints = Vec::new();
        for sequence in 1..=ENDPOINTS as u64 {
            endpoints.push(made.endpoint(app, sequence).await);
        }
        let messages = (0..MESSAGES)
            .map(|_| NewMessage { ceiling: 3, deliveries: DELIVERIES, ..message(app) })
            .collect();
        Self { made, app, messages, endpoints, model: Model::default() }
    }

    /// Applies a step to the model; what is to be recorded of it comes back, all else is done.
    async fn apply(&mut self, step: Step) -> Option<Progress> {
        let app = self.app;
        match step {
            Step::Accept { message } => {
                assert_eq!(self.made.accept(self.messages[message].clone()).await, Accepted::Stored);
                if self.model.accepted.insert(message) {
                    self.model.fanouts.insert(message, 0);
                }
                None
            }
            Step::Attempt { message, endpoint, number, retry_in, by_hand, again } => {
                let next = retry_in.map_or(Next::End(AttemptState::Succeeded), |wait| Next::Retry {
                    due_at: NOW + i64::from(wait),
                });
                let mut new =
                    attempt(app, self.messages[message].message.id, self.endpoints[endpoint], number, next);
                new.trigger = if by_hand { Trigger::Manual } else { Trigger::Scheduled };
                if let Some(last) = self.model.last.clone().filter(|_| again) {
                    return Some(attempted(last));
                }
                self.model.attempt(&new, message, endpoint);
                self.model.last = Some(new.clone());
                Some(attempted(new))
            }
            Step::Defer { message, endpoint, wait, priority } => {
                let due_at = NOW + i64::from(wait);
                let mut work =
                    deferred(app, self.messages[message].message.id, self.endpoints[endpoint], due_at);
                work.priority = priority;
                if !self.model.buried.contains(&endpoint) {
                    let key = (message, endpoint, Trigger::Scheduled);
                    self.model.due.entry(key).or_insert((due_at, priority, 0));
                }
                Some(Progress::Deferred(work))
            }
            Step::Drop { message, endpoint } => {
                self.model.due.remove(&(message, endpoint, Trigger::Scheduled));
                let message = self.messages[message].message.id;
                let id = WorkId::delivery(message, self.endpoints[endpoint], Trigger::Scheduled);
                Some(Progress::Dropped(id))
            }
            Step::Advance { message, frontier } => {
                self.model.fanouts.entry(message).and_modify(|at| *at = frontier.max(*at));
                Some(Progress::Advanced { app, message: self.messages[message].message.id, frontier })
            }
            Step::Finish { message } => {
                self.model.fanouts.remove(&message);
                Some(Progress::Finished { app, message: self.messages[message].message.id })
            }
            Step::Bury { .. } | Step::Reopen | Step::Crash => None,
        }
    }

    async fn bury(&mut self, endpoint: usize) {
        let change = Change::DeleteEndpoint { app: self.app, endpoint: self.endpoints[endpoint], at: NOW };
        let known = self.model.buried.insert(endpoint);
        let expected = if known { Changed::Done } else { Changed::Missing };
        assert_eq!(self.made.change(change).await, expected);
        self.model.due.retain(|key, _| key.1 != endpoint);
    }

    /// What is counted is what there is, in the file at any moment and in memory when it rests.
    fn check_backlog(&self) {
        let Self { made, app, model, .. } = self;
        let [counted, recounted] = made.counted_and_recounted();
        assert_eq!(counted, recounted, "backlog in the file");
        // Due work of the buried is counted until it is purged.
        if model.buried.is_empty() {
            let left = |frontier: &u64| DELIVERIES - DELIVERIES * frontier / 3;
            let pending = model.fanouts.values().map(left).sum::<u64>() + model.due.len() as u64;
            assert_eq!(made.store.backlog(*app).deliveries, pending, "backlog in memory");
            let applications = usize::from(pending > 0);
            let all = Backlogs { applications, deliveries: pending, deliveries_max: pending };
            assert_eq!(made.store.backlogs(), all);
        }
    }

    async fn check(&self) {
        self.check_backlog();
        let Self { made, app, model, .. } = self;
        let id = |message: usize| self.messages[message].message.id;
        let found = made.store.fanouts(*app, vec![], 100, 1 << 20).await.unwrap();
        let found: Vec<_> = found.iter().map(|work| (work.message.id, work.fanout.frontier)).collect();
        let expected: Vec<_> =
            model.fanouts.iter().map(|(message, frontier)| (id(*message), *frontier)).collect();
        assert_eq!(found, expected, "fan-out");

        let mut keys = Vec::new();
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            let of_key = model.due.iter().filter(|(key, _)| key.1 == place);
            let mut expected: Vec<_> = of_key
                .map(|(key, (due_at, priority, tries))| (*priority, *due_at, id(key.0).0, key.2, *tries))
                .collect();
            expected.sort();
            if let Some(earliest) = expected.iter().map(|work| work.1).min() {
                keys.push((endpoint.0, earliest));
            }
            // All of it, and then half of it, by time and by except.
            let found = made.due_at(*app, *endpoint, NOW + 1_000).await;
            let found: Vec<_> = found
                .iter()
                .map(|work| (work.priority, work.due_at, work.id.subject, work.id.trigger, work.tries))
                .collect();
            assert_eq!(found, expected, "due work");
            let now = NOW + 100;
            let except: Vec<_> = expected
                .iter()
                .step_by(2)
                .map(|work| WorkId {
                    kind: WorkKind::Delivery,
                    subject: work.2,
                    key: endpoint.0,
                    trigger: work.3,
                })
                .collect();
            let rest: Vec<_> = expected.iter().skip(1).step_by(2).collect();
            let taken: Vec<_> = rest.iter().filter(|work| work.1 <= now).take(1).collect();
            let next = rest.iter().filter(|work| !taken.contains(work)).map(|work| work.1).min();
            let found = made.store.due(WorkKind::Delivery, *app, endpoint.0, now, except, 1).await.unwrap();
            let ids: Vec<_> = found.0.iter().map(|work| (work.id.subject, work.id.trigger)).collect();
            assert_eq!(ids, taken.iter().map(|work| (work.2, work.3)).collect::<Vec<_>>());
            assert_eq!(found.1, next, "when the next is due");
        }
        keys.sort();
        let found: Vec<_> = made.due_keys().await.iter().map(|key| (key.key, key.due_at)).collect();
        assert_eq!(found, keys, "keys");

        for message in 0..MESSAGES {
            let of_message = |(place, _, _): &(usize, usize, u32)| *place == message;
            let mut settled: BTreeSet<_> =
                model.attempts.keys().filter(|key| of_message(key)).map(|key| key.1).collect();
            settled.extend(model.due.keys().filter(|key| key.0 == message).map(|key| key.1));
            let mut expected: Vec<_> = settled.iter().map(|endpoint| self.endpoints[*endpoint]).collect();
            expected.sort();
            let found = made.store.settled(id(message), page()).await.unwrap();
            // Work of the buried may or may not have been purged.
            let buried = |endpoint: &EndpointId| {
                model.buried.iter().any(|buried| self.endpoints[*buried] == *endpoint)
            };
            let found: Vec<_> =
                found.into_iter().filter(|each| expected.contains(each) || !buried(each)).collect();
            assert_eq!(found, expected, "settled");
            if !model.accepted.contains(&message) {
                continue;
            }
            let mut expected: Vec<_> = model
                .attempts
                .iter()
                .filter(|(key, _)| of_message(key))
                .map(|(key, (id, state))| (*id, self.endpoints[key.1], key.2, *state))
                .collect();
            expected.sort_by_key(|attempt| attempt.0);
            let found = made.attempts(*app, id(message)).await;
            let found: Vec<_> =
                found.iter().map(|each| (each.id, each.endpoint, each.number, each.state)).collect();
            assert_eq!(found, expected, "attempts");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_the_store_as_its_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let mut progress = Vec::new();
            for step in steps {
                match step {
                    Step::Bury { .. } | Step::Reopen | Step::Crash => {
                        world.made.record(std::mem::take(&mut progress)).await;
                        match step {
                            Step::Bury { endpoint } => world.bury(endpoint).await,
                            Step::Crash => {
                                world.made = world.made.crashed().await;
                                world.check().await;
                            }
                            _ => {
                                world.check().await;
                                world.made = world.made.reopened().await;
                            }
                        }
                    }
                    // It is written at once: what was to be recorded before it comes first.
                    Step::Accept { .. } => {
                        world.made.record(std::mem::take(&mut progress)).await;
                        world.apply(step).await;
                    }
                    step => progress.extend(world.apply(step).await),
                }
            }
            world.made.record(progress).await;
            world.check().await;
        });
    }
}
