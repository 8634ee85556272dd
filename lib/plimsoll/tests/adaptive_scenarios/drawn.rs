//! Scenarios drawn at random, so that nothing can be tuned to them.

use super::simulation::{Callers, Contention, Curve, Scenario, Spread, by};

/// How long a run is: in calls that the service can do, in base latencies at least.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    pub(crate) calls: f64,
    pub(crate) bases: f64,
}

/// The scenario of that number, and what it is.
pub(crate) fn draw(number: u64, length: Length) -> (Scenario, String) {
    let mut draw = Draw(fastrand::Rng::with_seed(number));
    let places = draw.log(1.0, 500.0).round();
    let base = draw.log(0.000_2, 2.0);
    let network = if draw.chance(0.4) { base * draw.log(0.1, 3.0) } else { 0.0 };
    let seconds = (length.calls * base / places).max(length.bases * (base + network));
    let (spread, spread_name) = draw.spread();
    let (load, load_name) = draw.load(seconds);
    let (capacity, capacity_name) = draw.capacity(places, seconds);
    let drift = if draw.chance(0.2) { draw.log(0.5, 3.0) } else { 1.0 };
    let base_at = by(move |t| base * (1.0 + (drift - 1.0) * t / seconds));
    let refuses_above =
        if draw.chance(0.15) { (places * draw.log(0.8, 3.0)).ceil() as usize } else { usize::MAX };
    let timeout = if draw.chance(0.2) { (base + network) * draw.log(10.0, 50.0) } else { f64::INFINITY };
    let failing = if draw.chance(0.15) { draw.log(0.001, 0.03) } else { 0.0 };
    let limiters = if draw.chance(0.6) { 1 } else { draw.0.usize(2..=8) };
    let contention = if draw.chance(0.75) { Contention::Queue } else { Contention::Sharing };

    let offered = by(move |t| load(t) * places / base);
    let served = {
        let (capacity, base_at) = (capacity.clone(), base_at.clone());
        move |t: f64| capacity(t).min(refuses_above as f64) / base_at(t) * (1.0 - failing)
    };
    let wanted = offered.clone();
    let scenario = Scenario {
        name: "drawn",
        seconds,
        warm_up: seconds / 5.0,
        callers: Callers::Open(offered),
        limiters,
        joins: seconds / 5.0 / limiters as f64,
        base: base_at,
        network,
        capacity,
        spread,
        contention,
        refuses_above,
        timeout,
        failing: by(move |_| failing),
        ideal: by(move |t| served(t).min(wanted(t) * (1.0 - failing))),
    };
    let sharing = if matches!(contention, Contention::Sharing) { ", shared" } else { "" };
    let mut name = format!(
        "{number}: {places} places{sharing}, {:.1} ms, {spread_name}; {load_name}; {capacity_name}",
        base * 1e3
    );
    for (what, value, usual) in [
        ("network", network / base, 0.0),
        ("drift", drift, 1.0),
        ("limiters", limiters as f64, 1.0),
        ("refuses above", refuses_above as f64, usize::MAX as f64),
        ("gives up after", timeout / base, f64::INFINITY),
        ("failing", failing, 0.0),
    ] {
        if value != usual {
            name.push_str(&format!("; {what} {value:.2}"));
        }
    }
    (scenario, name)
}

struct Draw(fastrand::Rng);

impl Draw {
    fn chance(&mut self, share: f64) -> bool {
        self.0.f64() < share
    }

    fn even(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.0.f64()
    }

    /// Evenly on a logarithmic scale.
    fn log(&mut self, from: f64, to: f64) -> f64 {
        (self.even(from.ln(), to.ln())).exp()
    }

    fn spread(&mut self) -> (Spread, String) {
        match self.0.u8(0..4) {
            0 => (Spread::Fixed, "fixed".to_owned()),
            1 => (Spread::Exponential, "exponential".to_owned()),
            2 => {
                let deviation = self.even(0.3, 1.5);
                (Spread::Lognormal(deviation), format!("lognormal {deviation:.1}"))
            }
            _ => {
                let times = self.log(3.0, 50.0);
                (Spread::Bimodal(times), format!("bimodal {times:.0}"))
            }
        }
    }

    /// What is offered, by what can be served at first.
    fn load(&mut self, seconds: f64) -> (Curve, String) {
        let high = self.even(1.1, 4.0);
        let low = self.even(0.05, 0.8);
        let period = seconds / self.even(3.0, 20.0);
        match self.0.u8(0..6) {
            0 => (by(move |_| low), format!("{low:.2} of the load")),
            1 | 2 => (by(move |_| high), format!("{high:.2} of the load")),
            3 => (by(move |t| low + (high - low) * t / seconds), format!("from {low:.2} to {high:.2}")),
            4 => (
                by(move |t| if (t / period).fract() < 0.2 { high } else { low }),
                format!("{low:.2}, bursts of {high:.2} every {:.0} %", period / seconds * 100.0),
            ),
            _ => (
                by(move |t| if (t / period).fract() < 0.5 { high } else { 0.0 }),
                format!("{high:.2} on and off every {:.0} %", period / seconds * 100.0),
            ),
        }
    }

    fn capacity(&mut self, places: f64, seconds: f64) -> (Curve, String) {
        match self.0.u8(0..4) {
            0 => {
                let changes: Vec<(f64, f64)> = (0..self.0.usize(1..=3))
                    .map(|_| (self.even(0.2, 0.9) * seconds, (places * self.log(0.2, 2.0)).round().max(1.0)))
                    .collect();
                let name = format!("capacity {changes:.1?} of {seconds:.1} s");
                let at = move |t: f64| {
                    let done = changes.iter().filter(|change| change.0 <= t);
                    done.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(places, |change| change.1)
                };
                (by(at), name)
            }
            1 => {
                let period = seconds / self.even(5.0, 30.0);
                let share = self.even(0.02, 0.1);
                let at = move |t: f64| if (t / period).fract() < share { 0.0 } else { places };
                (by(at), format!("stops for {share:.2} of each {:.0} %", period / seconds * 100.0))
            }
            _ => (by(move |_| places), "steady".to_owned()),
        }
    }
}
