//! What happens to a limiter.

use super::simulation::{Callers, Contention, Scenario, Spread, by};

/// What the knee must keep to.
pub(crate) struct Bounds {
    /// At least, of what could be served.
    pub(crate) goodput: f64,
    /// At most, in base latencies.
    pub(crate) latency: f64,
    /// At most, of what is offered.
    pub(crate) refused: f64,
    /// Its power by that of the best of the known, at least.
    pub(crate) to_best: f64,
}

const fn bounds(goodput: f64, latency: f64, to_best: f64) -> Bounds {
    Bounds { goodput, latency, refused: 1.0, to_best }
}

pub(crate) fn all() -> Vec<(Scenario, Bounds)> {
    let steady = Scenario::steady;
    let load = |rate: fn(f64) -> f64| Callers::Open(by(rate));
    vec![
        (Scenario { name: "knee at 20, twice the load", ..steady() }, bounds(0.9, 1.35, 1.0)),
        (
            Scenario { name: "knee at 20, 1.1 of the load", callers: load(|_| 2_200.0), ..steady() },
            bounds(0.85, 1.35, 0.95),
        ),
        (
            Scenario {
                name: "knee at 200, shared cores",
                contention: Contention::Sharing,
                base: by(|_| 0.05),
                capacity: by(|_| 200.0),
                callers: load(|_| 6_000.0),
                ideal: by(|_| 4_000.0),
                ..steady()
            },
            bounds(0.6, 1.3, 1.0),
        ),
        (
            Scenario {
                name: "knee at 2",
                capacity: by(|_| 2.0),
                base: by(|_| 0.002),
                callers: load(|_| 2_000.0),
                ideal: by(|_| 1_000.0),
                ..steady()
            },
            bounds(0.85, 3.0, 1.0),
        ),
        (Scenario { name: "no variation", spread: Spread::Fixed, ..steady() }, bounds(0.95, 1.4, 0.95)),
        (
            Scenario { name: "low traffic", callers: load(|_| 1_000.0), ideal: by(|_| 1_000.0), ..steady() },
            Bounds { refused: 0.02, ..bounds(0.97, 1.1, 0.97) },
        ),
        (
            Scenario {
                name: "healthy, 80 % of capacity",
                callers: load(|_| 1_600.0),
                ideal: by(|_| 1_600.0),
                ..steady()
            },
            Bounds { refused: 0.02, ..bounds(0.95, 1.15, 0.95) },
        ),
        (
            Scenario {
                name: "capacity falls to a fifth",
                capacity: by(|t| if t < 12.0 { 50.0 } else { 10.0 }),
                callers: load(|_| 6_000.0),
                ideal: by(|t| if t < 12.0 { 5_000.0 } else { 1_000.0 }),
                ..steady()
            },
            bounds(0.9, 1.4, 0.95),
        ),
        (
            Scenario {
                name: "capacity falls and comes back",
                capacity: by(|t| if (10.0..20.0).contains(&t) { 5.0 } else { 50.0 }),
                callers: load(|_| 6_000.0),
                ideal: by(|t| if (10.0..20.0).contains(&t) { 500.0 } else { 5_000.0 }),
                ..steady()
            },
            bounds(0.85, 1.4, 0.95),
        ),
        (
            Scenario {
                name: "each call takes five times as long",
                base: by(|t| if t < 12.0 { 0.01 } else { 0.05 }),
                ideal: by(|t| if t < 12.0 { 2_000.0 } else { 400.0 }),
                ..steady()
            },
            bounds(0.8, 1.35, 1.0),
        ),
        (
            Scenario {
                name: "slow for a while, with room",
                base: by(|t| if (10.0..20.0).contains(&t) { 0.04 } else { 0.01 }),
                capacity: by(|_| 200.0),
                callers: load(|_| 2_000.0),
                ideal: by(|_| 2_000.0),
                ..steady()
            },
            bounds(0.75, 1.1, 0.75),
        ),
        (
            Scenario { name: "bimodal, 1 to 50", spread: Spread::Bimodal(50.0), ..steady() },
            bounds(0.8, 1.3, 0.95),
        ),
        (
            Scenario { name: "lognormal, deviation 1", spread: Spread::Lognormal(1.0), ..steady() },
            bounds(0.9, 1.4, 1.0),
        ),
        (
            Scenario { name: "lognormal, deviation 1.5", spread: Spread::Lognormal(1.5), ..steady() },
            bounds(0.85, 1.3, 1.0),
        ),
        (
            Scenario {
                name: "base drifts to three times",
                base: by(|t| 0.01 * (1.0 + t / 15.0)),
                ideal: by(|t| 2_000.0 / (1.0 + t / 15.0)),
                ..steady()
            },
            bounds(0.55, 1.25, 0.85),
        ),
        (
            Scenario {
                name: "linear, knee at 50",
                contention: Contention::Linear(0.02),
                spread: Spread::Exponential,
                callers: load(|_| 6_000.0),
                ideal: by(|_| 2_500.0),
                ..steady()
            },
            bounds(0.75, 2.2, 0.9),
        ),
        (
            Scenario {
                name: "bursts",
                capacity: by(|_| 50.0),
                callers: load(|t| if t.fract() < 0.2 { 8_000.0 } else { 500.0 }),
                ideal: by(|t| if t.fract() < 0.2 { 5_000.0 } else { 500.0 }),
                ..steady()
            },
            bounds(0.9, 1.2, 1.0),
        ),
        (
            Scenario {
                name: "refuses above 50",
                capacity: by(|_| 50.0),
                refuses_above: 50,
                callers: load(|_| 8_000.0),
                ideal: by(|_| 5_000.0),
                ..steady()
            },
            bounds(0.9, 1.1, 0.95),
        ),
        (Scenario { name: "gives up after 50 ms", timeout: 0.05, ..steady() }, bounds(0.9, 1.3, 1.0)),
        (
            Scenario { name: "one in a hundred fails", failing: by(|_| 0.01), ..steady() },
            bounds(0.9, 1.4, 1.0),
        ),
        (
            Scenario { name: "200 callers that wait", callers: Callers::Closed(200), ..steady() },
            bounds(0.9, 1.4, 1.0),
        ),
        (
            Scenario {
                name: "two limiters, one service",
                callers: Callers::Closed(400),
                limiters: 2,
                capacity: by(|_| 50.0),
                ideal: by(|_| 5_000.0),
                warm_up: 10.0,
                seconds: 40.0,
                ..steady()
            },
            bounds(0.95, 3.5, 0.45),
        ),
        (
            Scenario {
                name: "down for five seconds",
                failing: by(|t| if (10.0..15.0).contains(&t) { 1.0 } else { 0.0 }),
                ideal: by(|t| if (10.0..15.0).contains(&t) { 0.0 } else { 2_000.0 }),
                ..steady()
            },
            bounds(0.85, 1.35, 0.9),
        ),
    ]
}
