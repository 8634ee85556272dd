//! A service, its callers and limiters between them, by discrete events in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use plimsoll::Outcome;
use plimsoll::adaptive::{Algorithm, Sample};
use plimsoll::clock::Instant;

/// A number that changes over the run: seconds since its beginning to the number.
pub(crate) type Curve = Rc<dyn Fn(f64) -> f64>;

pub(crate) fn by(curve: impl Fn(f64) -> f64 + 'static) -> Curve {
    Rc::new(curve)
}

/// How long a call takes when it is alone, in units of the base latency: each with mean 1.
#[derive(Clone, Copy)]
pub(crate) enum Spread {
    Fixed,
    Exponential,
    /// The standard deviation of the logarithm.
    Lognormal(f64),
    /// A tenth takes so many times as long as the rest.
    Bimodal(f64),
}

/// How a call takes longer when it is not alone.
#[derive(Clone, Copy)]
pub(crate) enum Contention {
    /// First come first served by `capacity` servers.
    Queue,
    /// All share `capacity` cores.
    Sharing,
    /// Each one in flight adds this share of the base latency to the others.
    Linear(f64),
}

#[derive(Clone)]
pub(crate) enum Callers {
    /// Arrivals of a Poisson process at this rate; refused when the limiter is full.
    Open(Curve),
    /// So many callers, which wait for the limiter and call again at once.
    Closed(usize),
}

#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
    /// Nothing is measured before.
    pub(crate) warm_up: f64,
    pub(crate) callers: Callers,
    pub(crate) limiters: usize,
    /// Each limiter comes so many seconds after the one before it.
    pub(crate) joins: f64,
    /// In seconds.
    pub(crate) base: Curve,
    /// In seconds, on top of it, and nobody has to wait for it.
    pub(crate) network: f64,
    pub(crate) capacity: Curve,
    pub(crate) spread: Spread,
    pub(crate) contention: Contention,
    /// The other side refuses at once what is more than this in flight.
    pub(crate) refuses_above: usize,
    /// Callers give up after so many seconds: a failure. The work goes on.
    pub(crate) timeout: f64,
    /// This share fails by itself.
    pub(crate) failing: Curve,
    /// Calls a second that could be served well.
    pub(crate) ideal: Curve,
}

impl Scenario {
    pub(crate) fn steady() -> Self {
        Self {
            name: "steady",
            seconds: 30.0,
            warm_up: 3.0,
            callers: Callers::Open(by(|_| 4_000.0)),
            limiters: 1,
            joins: 5.0,
            base: by(|_| 0.01),
            network: 0.0,
            capacity: by(|_| 20.0),
            spread: Spread::Exponential,
            contention: Contention::Queue,
            refuses_above: usize::MAX,
            timeout: f64::INFINITY,
            failing: by(|_| 0.0),
            ideal: by(|_| 2_000.0),
        }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Served, by what could have been.
    pub(crate) goodput: f64,
    /// The average latency, by what it would have been alone.
    pub(crate) latency: f64,
    pub(crate) refused: f64,
    /// Of what was offered while it was at most four fifths of what could be served.
    pub(crate) healthy_refused: f64,
    pub(crate) limit_mean: f64,
    /// Standard deviation by mean.
    pub(crate) limit_sway: f64,
    /// Jain's index over the limiters: 1 is fair.
    pub(crate) fairness: f64,
}

impl Measured {
    pub(crate) fn mean(runs: impl Iterator<Item = Self>) -> Self {
        let runs: Vec<_> = runs.collect();
        let share = 1.0 / runs.len() as f64;
        runs.into_iter().fold(Self::default(), |mean, run| Self {
            goodput: mean.goodput + run.goodput * share,
            latency: mean.latency + run.latency * share,
            refused: mean.refused + run.refused * share,
            healthy_refused: mean.healthy_refused + run.healthy_refused * share,
            limit_mean: mean.limit_mean + run.limit_mean * share,
            limit_sway: mean.limit_sway + run.limit_sway * share,
            fairness: mean.fairness + run.fairness * share,
        })
    }

    /// Kleinrock's power, by that of the ideal: throughput by latency.
    pub(crate) fn power(&self) -> f64 {
        self.goodput.min(1.0) / self.latency.max(1.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// The service may be done with somebody: the version of its plan.
    Service(u64),
    /// A caller of that limiter comes (again).
    Caller(usize),
    Timeout(u64),
    /// Looks at the limits.
    Watch,
    Alone(u64),
    Answered(u64),
    Refused(u64),
}

struct Call {
    limiter: usize,
    began: f64,
    in_flight: u64,
    /// How long it takes when alone, in seconds.
    alone: f64,
    finished: bool,
}

struct Limiter {
    algorithm: Box<dyn Algorithm>,
    limit: f64,
    in_use: u64,
    waiting: usize,
    served: f64,
}

pub(crate) const LIMIT: (f64, f64, f64) = (1.0, 20.0, 1_000.0);

pub(crate) struct Simulation {
    scenario: Scenario,
    random: fastrand::Rng,
    now: f64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    calls: Vec<Call>,
    limiters: Vec<Limiter>,
    // The service.
    queue: VecDeque<u64>,
    /// Those in service, by when they end: time, or attained service where cores are shared.
    serving: BinaryHeap<Reverse<(u64, u64)>>,
    attained: f64,
    attained_at: f64,
    present: usize,
    plan: u64,
    // What is measured.
    goodput: f64,
    latency_sum: (f64, f64),
    offered: f64,
    refused: f64,
    healthy: f64,
    healthy_refused: f64,
    limits: (f64, f64, f64),
}

const NANOS: f64 = 1e9;

fn nanos(seconds: f64) -> u64 {
    (seconds * NANOS).round() as u64
}

impl Simulation {
    pub(crate) fn run(scenario: &Scenario, seed: u64, make: &dyn Fn() -> Box<dyn Algorithm>) -> Measured {
        let limiters = (0..scenario.limiters)
            .map(|_| Limiter { algorithm: make(), limit: LIMIT.1, in_use: 0, waiting: 0, served: 0.0 })
            .collect();
        let mut simulation = Self {
            scenario: scenario.clone(),
            random: fastrand::Rng::with_seed(seed),
            now: 0.0,
            events: BinaryHeap::new(),
            sequence: 0,
            calls: Vec::new(),
            limiters,
            queue: VecDeque::new(),
            serving: BinaryHeap::new(),
            attained: 0.0,
            attained_at: 0.0,
            present: 0,
            plan: 0,
            goodput: 0.0,
            latency_sum: (0.0, 0.0),
            offered: 0.0,
            refused: 0.0,
            healthy: 0.0,
            healthy_refused: 0.0,
            limits: (0.0, 0.0, 0.0),
        };
        simulation.go();
        simulation.measured()
    }

    fn at(&mut self, time: f64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((nanos(time), self.sequence, event)));
    }

    fn go(&mut self) {
        match &self.scenario.callers {
            Callers::Open(_) => self.at(0.0, Event::Arrival),
            Callers::Closed(callers) => {
                for caller in 0..*callers {
                    let limiter = caller % self.limiters.len();
                    // The second limiter comes when the first has settled.
                    self.at(
                        limiter as f64 * self.scenario.joins + caller as f64 * 1e-5,
                        Event::Caller(limiter),
                    );
                }
            }
        }
        self.at(0.0, Event::Watch);
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time as f64 / NANOS;
            if self.now > self.scenario.seconds {
                return;
            }
            self.handle(event);
            self.start_queued();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                let Callers::Open(rate) = &self.scenario.callers else { return };
                let rate = rate(self.now);
                let gap = if rate > 0.0 { -self.random.f64().max(1e-12).ln() / rate } else { 1.0 };
                // It may change meanwhile: an exponential gap may be drawn anew at any time.
                let longest = self.scenario.seconds / 600.0;
                self.at(self.now + gap.min(longest), Event::Arrival);
                if gap < longest {
                    self.arrive(rate);
                }
            }
            Event::Caller(limiter) => {
                self.limiters[limiter].waiting += 1;
                self.admit_waiting(limiter);
            }
            Event::Service(plan) if plan == self.plan => self.serve(),
            Event::Service(_) => {}
            Event::Alone(call) => {
                self.present -= 1;
                self.answer(call);
            }
            Event::Answered(call) => self.finish(call, Outcome::Success),
            Event::Timeout(call) => self.finish(call, Outcome::Failure),
            Event::Refused(call) => self.finish(call, Outcome::Failure),
            Event::Watch => {
                self.at(self.now + self.scenario.seconds / 3_000.0, Event::Watch);
                if self.now >= self.scenario.warm_up {
                    let limit = self.limiters[0].limit;
                    let (count, sum, squares) = self.limits;
                    self.limits = (count + 1.0, sum + limit, squares + limit * limit);
                }
            }
        }
    }

    fn arrive(&mut self, rate: f64) {
        let here = ((self.now / self.scenario.joins) as usize).saturating_add(1).min(self.limiters.len());
        let limiter = self.random.usize(0..here);
        let healthy = rate <= 0.8 * (self.scenario.capacity)(self.now) / (self.scenario.base)(self.now);
        let healthy = healthy && self.now >= self.scenario.warm_up;
        self.offered += 1.0;
        self.healthy += f64::from(u8::from(healthy));
        if self.has_room(limiter) {
            self.admit(limiter);
        } else {
            self.refused += 1.0;
            self.healthy_refused += f64::from(u8::from(healthy));
        }
    }

    fn has_room(&self, limiter: usize) -> bool {
        let Limiter { limit, in_use, .. } = self.limiters[limiter];
        (in_use as f64) < limit.floor()
    }

    fn admit_waiting(&mut self, limiter: usize) {
        while self.limiters[limiter].waiting > 0 && self.has_room(limiter) {
            self.limiters[limiter].waiting -= 1;
            self.admit(limiter);
        }
    }

    fn admit(&mut self, limiter: usize) {
        self.limiters[limiter].in_use += 1;
        let id = self.calls.len() as u64;
        let alone = (self.scenario.base)(self.now) * self.spread();
        let in_flight = self.limiters[limiter].in_use;
        self.calls.push(Call { limiter, began: self.now, in_flight, alone, finished: false });
        if self.scenario.timeout.is_finite() {
            self.at(self.now + self.scenario.timeout, Event::Timeout(id));
        }
        if self.present >= self.scenario.refuses_above
            || self.random.f64() < (self.scenario.failing)(self.now)
        {
            return self.at(self.now + 0.0005, Event::Refused(id));
        }
        match self.scenario.contention {
            Contention::Queue => {
                self.present += 1;
                self.queue.push_back(id);
            }
            Contention::Sharing => {
                self.attain();
                self.present += 1;
                self.serving.push(Reverse((nanos(self.attained + alone), id)));
                self.plan_sharing();
            }
            Contention::Linear(share) => {
                self.present += 1;
                let takes = alone * (1.0 + share * (self.present as f64 - 1.0));
                self.at(self.now + takes, Event::Alone(id));
            }
        }
    }

    fn spread(&mut self) -> f64 {
        let uniform = self.random.f64().max(1e-12);
        match self.scenario.spread {
            Spread::Fixed => 1.0,
            Spread::Exponential => -uniform.ln(),
            Spread::Lognormal(deviation) => {
                let angle = std::f64::consts::TAU * self.random.f64();
                let normal = (-2.0 * uniform.ln()).sqrt() * angle.cos();
                (deviation * normal - deviation * deviation / 2.0).exp()
            }
            Spread::Bimodal(times) => {
                let short = 1.0 / (0.9 + 0.1 * times);
                if uniform < 0.1 { short * times } else { short }
            }
        }
    }

    fn start_queued(&mut self) {
        if !matches!(self.scenario.contention, Contention::Queue) {
            return;
        }
        let mut started = false;
        while (self.serving.len() as f64) < (self.scenario.capacity)(self.now)
            && let Some(id) = self.queue.pop_front()
        {
            let alone = self.calls[id as usize].alone;
            self.serving.push(Reverse((nanos(self.now + alone), id)));
            started = true;
        }
        if started {
            self.plan_next();
        }
    }

    fn plan_next(&mut self) {
        self.plan += 1;
        if let Some(Reverse((time, _))) = self.serving.peek() {
            let time = *time as f64 / NANOS;
            self.at(time.max(self.now), Event::Service(self.plan));
        }
    }

    /// How fast each of those that share the cores goes.
    fn speed(&self) -> f64 {
        ((self.scenario.capacity)(self.now) / (self.present as f64).max(1.0)).clamp(1e-3, 1.0)
    }

    fn attain(&mut self) {
        self.attained += (self.now - self.attained_at) * self.speed();
        self.attained_at = self.now;
    }

    fn plan_sharing(&mut self) {
        self.plan += 1;
        if let Some(Reverse((at, _))) = self.serving.peek() {
            let left = (*at as f64 / NANOS - self.attained).max(0.0) / self.speed();
            // Looks again soon: the number of cores may change.
            self.at(self.now + left.clamp(1e-6, 0.05), Event::Service(self.plan));
        }
    }

    fn serve(&mut self) {
        let sharing = matches!(self.scenario.contention, Contention::Sharing);
        if sharing {
            self.attain();
        }
        let due = if sharing { nanos(self.attained) + 1_000 } else { nanos(self.now) + 1 };
        while let Some(Reverse((at, id))) = self.serving.peek().copied()
            && at <= due
        {
            self.serving.pop();
            self.present -= 1;
            self.answer(id);
        }
        if sharing { self.plan_sharing() } else { self.plan_next() }
    }

    /// The service is done with it.
    fn answer(&mut self, id: u64) {
        if self.scenario.network > 0.0 {
            self.at(self.now + self.scenario.network, Event::Answered(id));
        } else {
            self.finish(id, Outcome::Success);
        }
    }

    /// The caller has its answer, whatever the service still does.
    fn finish(&mut self, id: u64, outcome: Outcome) {
        let call = &mut self.calls[id as usize];
        if std::mem::replace(&mut call.finished, true) {
            return;
        }
        let (index, began, in_flight) = (call.limiter, call.began, call.in_flight);
        let latency = self.now - began;
        if self.now >= self.scenario.warm_up && outcome == Outcome::Success {
            self.goodput += 1.0;
            self.limiters[index].served += 1.0;
            self.latency_sum.0 += latency / ((self.scenario.base)(began) + self.scenario.network);
            self.latency_sum.1 += 1.0;
        }
        let limiter = &mut self.limiters[index];
        limiter.in_use -= 1;
        let now = Instant::from_nanos(nanos(self.now));
        let sample = Sample::new(now, Duration::from_nanos(nanos(latency)), in_flight).with_outcome(outcome);
        limiter.limit = limiter.algorithm.update(limiter.limit, &sample).clamp(LIMIT.0, LIMIT.2);
        if let Callers::Closed(_) = self.scenario.callers {
            // A caller that was refused thinks for a moment.
            let pause = if outcome == Outcome::Success { 0.0 } else { 0.001 };
            self.at(self.now + pause, Event::Caller(index));
        }
        self.admit_waiting(index);
    }

    fn measured(&self) -> Measured {
        let scenario = &self.scenario;
        let steps = 2_000;
        let width = (scenario.seconds - scenario.warm_up) / f64::from(steps);
        let ideal: f64 = (0..steps)
            .map(|step| (scenario.ideal)(scenario.warm_up + width * (f64::from(step) + 0.5)) * width)
            .sum();
        let (count, sum, squares) = self.limits;
        let mean = sum / count;
        let served: Vec<f64> = self.limiters.iter().map(|limiter| limiter.served).collect();
        let total: f64 = served.iter().sum();
        let squared: f64 = served.iter().map(|served| served * served).sum();
        Measured {
            goodput: self.goodput / ideal,
            latency: self.latency_sum.0 / self.latency_sum.1.max(1.0),
            refused: self.refused / self.offered.max(1.0),
            healthy_refused: self.healthy_refused / self.healthy.max(1.0),
            limit_mean: mean,
            limit_sway: (squares / count - mean * mean).max(0.0).sqrt() / mean,
            fairness: total * total / (served.len() as f64 * squared).max(1.0),
        }
    }
}
