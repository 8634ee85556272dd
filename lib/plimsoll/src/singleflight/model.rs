//! Callers that begin, finish, fail, panic, are dropped and forgotten in any order, against a model
//! that knows at every moment who should run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

type Result = std::result::Result<u32, Error<u32>>;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(u8),
    Finish(usize, End),
    Drop(usize),
    Forget(u8),
    Advance(u64),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Value,
    Failure,
    Panic,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![3 => Just(End::Value), 2 => Just(End::Failure), 1 => Just(End::Panic)];
    let step = prop_oneof![
        4 => (0..4u8).prop_map(Step::Start),
        2 => (any::<usize>(), end).prop_map(|(which, end)| Step::Finish(which, end)),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => (0..4u8).prop_map(Step::Forget),
        1 => (0..1_500u64).prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What the works see and show: how each is told to end, and which run.
#[derive(Default)]
struct Stage {
    told: BTreeMap<u32, End>,
    running: Vec<u32>,
}

struct Work {
    id: u32,
    stage: Rc<RefCell<Stage>>,
}

impl Future for Work {
    type Output = std::result::Result<u32, u32>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stage.borrow_mut().told.remove(&self.id) {
            None => Poll::Pending,
            Some(End::Value) => Poll::Ready(Ok(self.id)),
            Some(End::Failure) => Poll::Ready(Err(self.id)),
            Some(End::Panic) => resume_unwind(Box::new(format!("{}", self.id))),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stage.borrow_mut().running.retain(|id| *id != self.id);
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Caller {
    id: u32,
    future: Pin<Box<dyn Future<Output = Result>>>,
    woken: Arc<Woken>,
}

impl Caller {
    /// The result, or `None` for a panic.
    fn poll(&mut self) -> Poll<Option<Result>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(&mut cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}

#[derive(Default)]
struct Flight {
    leader: Option<u32>,
    followers: Vec<u32>,
}

struct Model {
    errors: Errors,
    keys_max: usize,
    flights: Vec<Flight>,
    /// By key, the index of the flight that newcomers join.
    joinable: BTreeMap<u8, usize>,
    /// By key, an error and until when it is remembered.
    remembered: BTreeMap<u8, (u32, u64)>,
    now: u64,
}

impl Model {
    fn in_flight(&self) -> usize {
        self.flights.iter().filter(|flight| flight.leader.is_some()).count()
    }

    /// What a newcomer gets at once, if anything.
    fn start(&mut self, key: u8, id: u32) -> Option<Result> {
        if let Some(&at) = self.joinable.get(&key) {
            self.flights[at].followers.push(id);
            return None;
        }
        match self.remembered.get(&key) {
            Some((error, until)) if self.now < *until => return Some(Err(Error::Inner(*error))),
            _ => self.remembered.remove(&key),
        };
        if self.in_flight() == self.keys_max {
            let rejected = crate::Rejected::new(
                crate::Name::new("singleflight-model").unwrap(),
                crate::Reason::KeysFull,
            );
            return Some(Err(Error::Rejected(rejected.with_use(
                self.keys_max as u64,
                self.keys_max as u64,
                0,
            ))));
        }
        self.joinable.insert(key, self.flights.len());
        self.flights.push(Flight { leader: Some(id), followers: Vec::new() });
        None
    }

    fn key_of(&self, at: usize) -> Option<u8> {
        self.joinable.iter().find(|(_, known)| **known == at).map(|(key, _)| *key)
    }

    /// The leader of flight `at` ends so: what each caller of the flight gets.
    fn finish(&mut self, at: usize, end: End) -> Vec<(u32, Option<Result>)> {
        let id = self.flights[at].leader.take().unwrap();
        let (own, theirs) = match end {
            End::Value => (Some(Ok(id)), Ok(id)),
            End::Failure => (Some(Err(Error::Inner(id))), Err(Error::Inner(id))),
            End::Panic => (None, Err(Error::Panicked { message: id.to_string().into() })),
        };
        let mut results = vec![(id, own)];
        if end == End::Value || self.errors == Errors::Share {
            results.extend(self.flights[at].followers.drain(..).map(|id| (id, Some(theirs.clone()))));
            if let Some(key) = self.key_of(at) {
                self.joinable.remove(&key);
                if end == End::Failure {
                    self.remembered.insert(key, (id, self.now + 1_000));
                }
            }
        }
        results
    }

    /// A flight whose leader went is led by whichever follower runs now, or is gone.
    fn hand_over(&mut self, running: &[u32]) {
        for at in 0..self.flights.len() {
            let flight = &mut self.flights[at];
            if flight.leader.is_some() {
                continue;
            }
            match flight.followers.iter().position(|id| running.contains(id)) {
                Some(place) => flight.leader = Some(flight.followers.remove(place)),
                None => {
                    assert!(flight.followers.is_empty(), "followers that nobody leads");
                    if let Some(key) = self.key_of(at) {
                        self.joinable.remove(&key);
                    }
                }
            }
        }
    }
}

struct World {
    flights: Singleflight<u8, u32, u32>,
    stage: Rc<RefCell<Stage>>,
    callers: Vec<Caller>,
    ended: BTreeMap<u32, Option<Result>>,
    model: Model,
    next: u32,
}

impl World {
    fn start(&mut self, key: u8) {
        let id = self.next;
        self.next += 1;
        let (flights, stage) = (self.flights.clone(), Rc::clone(&self.stage));
        let future = Box::pin(async move {
            let work = || {
                stage.borrow_mut().running.push(id);
                Work { id, stage: Rc::clone(&stage) }
            };
            flights.run(key, work).await
        });
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.callers.push(Caller { id, future, woken });
        if let Some(result) = self.model.start(key, id) {
            self.settle();
            assert_eq!(self.ended.remove(&id), Some(Some(result)));
        }
    }

    /// Polls whoever was woken until nobody is.
    fn settle(&mut self) {
        while let Some(at) =
            self.callers.iter().position(|caller| caller.woken.0.swap(false, Ordering::SeqCst))
        {
            if let Poll::Ready(result) = self.callers[at].poll() {
                let caller = self.callers.remove(at);
                self.ended.insert(caller.id, result);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Start(key) => self.start(key),
            Step::Finish(which, end) => {
                let led: Vec<_> = (0..self.model.flights.len())
                    .filter(|at| self.model.flights[*at].leader.is_some())
                    .collect();
                if led.is_empty() {
                    return;
                }
                let at = led[which % led.len()];
                let id = self.model.flights[at].leader.unwrap();
                let expected = self.model.finish(at, end);
                self.stage.borrow_mut().told.insert(id, end);
                self.callers
                    .iter()
                    .find(|caller| caller.id == id)
                    .unwrap()
                    .woken
                    .0
                    .store(true, Ordering::SeqCst);
                self.settle();
                for (id, result) in expected {
                    assert_eq!(self.ended.remove(&id), Some(result), "what caller {id} got");
                }
            }
            Step::Drop(which) if !self.callers.is_empty() => {
                let at = which % self.callers.len();
                let id = self.callers.remove(at).id;
                for flight in &mut self.model.flights {
                    flight.followers.retain(|follower| *follower != id);
                    flight.leader = flight.leader.filter(|leader| *leader != id);
                }
            }
            Step::Drop(_) => {}
            Step::Forget(key) => {
                self.flights.forget(key);
                self.model.joinable.remove(&key);
                self.model.remembered.remove(&key);
            }
            Step::Advance(millis) => self.model.now += millis,
        }
        self.settle();
        self.check();
    }

    fn check(&mut self) {
        let running = self.stage.borrow().running.clone();
        self.model.hand_over(&running);
        let mut led: Vec<_> = self.model.flights.iter().filter_map(|flight| flight.leader).collect();
        let mut running = running;
        led.sort_unstable();
        running.sort_unstable();
        assert_eq!(running, led, "one for each flight runs, and no other");
        let followers: usize = self.model.flights.iter().map(|flight| flight.followers.len()).sum();
        let seen = self.flights.snapshot();
        assert_eq!((seen.in_use, seen.waiting), (led.len() as u64, followers as u64));
        assert!(self.ended.is_empty(), "nobody ended but who was expected to: {:?}", self.ended);
    }
}

fn play(errors: Errors, keys_max: usize, steps: Vec<Step>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let builder = Singleflight::builder("singleflight-model").keys_max(keys_max as u64).errors(errors);
        let builder = if errors == Errors::Share { builder.negative_for(SECOND) } else { builder };
        let model = Model {
            errors,
            keys_max,
            flights: Vec::new(),
            joinable: BTreeMap::new(),
            remembered: BTreeMap::new(),
            now: 0,
        };
        let flights = builder.build().unwrap();
        let (stage, callers, ended) = (Rc::default(), Vec::new(), BTreeMap::new());
        let mut world = World { flights, stage, callers, ended, model, next: 0 };
        for step in steps {
            if let Step::Advance(millis) = step {
                tokio::time::advance(Duration::from_millis(millis)).await;
            }
            world.step(step);
        }
        world.callers.clear();
        let seen = world.flights.snapshot();
        assert_eq!((seen.in_use, seen.waiting), (0, 0), "all is given back");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_runs_for_each_key_and_all_who_wait_get_what_it_got(steps in steps(), keys_max in 1..5usize) {
        play(Errors::Share, keys_max, steps);
    }

    #[test]
    fn where_errors_are_not_shared_each_runs_after_the_other(steps in steps(), keys_max in 1..5usize) {
        play(Errors::Each, keys_max, steps);
    }
}
