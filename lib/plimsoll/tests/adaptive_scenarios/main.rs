//! Every algorithm of [`plimsoll::adaptive`] in the same scenarios.

mod simulation;

use std::time::Duration;

use plimsoll::adaptive::{Aimd, Algorithm, Gradient2, Knee, Vegas, Windowed};
use simulation::{Callers, Contention, Measured, Scenario, Simulation, Spread};

fn scenarios() -> Vec<Scenario> {
    let steady = Scenario::STEADY;
    let load = |rate| Callers::Open(rate);
    vec![
        Scenario { name: "knee at 20, twice the load", ..steady },
        Scenario { name: "knee at 20, 1.1 of the load", callers: load(|_| 2_200.0), ..steady },
        Scenario {
            name: "knee at 200, shared cores",
            contention: Contention::Sharing,
            base: |_| 0.05,
            capacity: |_| 200.0,
            callers: load(|_| 6_000.0),
            ideal: |_| 4_000.0,
            ..steady
        },
        Scenario {
            name: "knee at 2",
            capacity: |_| 2.0,
            base: |_| 0.002,
            callers: load(|_| 2_000.0),
            ideal: |_| 1_000.0,
            ..steady
        },
        Scenario { name: "no variation", spread: Spread::Fixed, ..steady },
        Scenario { name: "low traffic", callers: load(|_| 1_000.0), ideal: |_| 1_000.0, ..steady },
        Scenario {
            name: "healthy, 80 % of capacity",
            callers: load(|_| 1_600.0),
            ideal: |_| 1_600.0,
            ..steady
        },
        Scenario {
            name: "capacity falls to a fifth",
            capacity: |t| if t < 12.0 { 50.0 } else { 10.0 },
            callers: load(|_| 6_000.0),
            ideal: |t| if t < 12.0 { 5_000.0 } else { 1_000.0 },
            ..steady
        },
        Scenario {
            name: "capacity falls and comes back",
            capacity: |t| if (10.0..20.0).contains(&t) { 5.0 } else { 50.0 },
            callers: load(|_| 6_000.0),
            ideal: |t| if (10.0..20.0).contains(&t) { 500.0 } else { 5_000.0 },
            ..steady
        },
        Scenario {
            name: "each call takes five times as long",
            base: |t| if t < 12.0 { 0.01 } else { 0.05 },
            ideal: |t| if t < 12.0 { 2_000.0 } else { 400.0 },
            ..steady
        },
        Scenario {
            name: "slow for a while, with room",
            base: |t| if (10.0..20.0).contains(&t) { 0.04 } else { 0.01 },
            capacity: |_| 200.0,
            callers: load(|_| 2_000.0),
            ideal: |_| 2_000.0,
            ..steady
        },
        Scenario { name: "bimodal, 1 to 50", spread: Spread::Bimodal(50.0), ..steady },
        Scenario { name: "lognormal, deviation 1", spread: Spread::Lognormal(1.0), ..steady },
        Scenario { name: "lognormal, deviation 1.5", spread: Spread::Lognormal(1.5), ..steady },
        Scenario {
            name: "base drifts to three times",
            base: |t| 0.01 * (1.0 + t / 15.0),
            ideal: |t| 2_000.0 / (1.0 + t / 15.0),
            ..steady
        },
        Scenario {
            name: "linear, knee at 50",
            contention: Contention::Linear(0.02),
            spread: Spread::Exponential,
            callers: load(|_| 6_000.0),
            ideal: |_| 2_500.0,
            ..steady
        },
        Scenario {
            name: "bursts",
            capacity: |_| 50.0,
            callers: load(|t| if t.fract() < 0.2 { 8_000.0 } else { 500.0 }),
            ideal: |t| if t.fract() < 0.2 { 5_000.0 } else { 500.0 },
            ..steady
        },
        Scenario {
            name: "refuses above 50",
            capacity: |_| 50.0,
            refuses_above: 50,
            callers: load(|_| 8_000.0),
            ideal: |_| 5_000.0,
            ..steady
        },
        Scenario { name: "gives up after 50 ms", timeout: 0.05, ..steady },
        Scenario { name: "one in a hundred fails", failing: 0.01, ..steady },
        Scenario { name: "200 callers that wait", callers: Callers::Closed(200), ..steady },
        Scenario {
            name: "two limiters, one service",
            callers: Callers::Closed(400),
            limiters: 2,
            capacity: |_| 50.0,
            ideal: |_| 5_000.0,
            warm_up: 10.0,
            seconds: 40.0,
            ..steady
        },
    ]
}

type Make = fn() -> Box<dyn Algorithm>;

const ALGORITHMS: [(&str, Make); 5] = [
    ("Knee", || Box::new(Knee::new())),
    ("Aimd", || Box::new(Aimd::new())),
    ("Vegas", || Box::new(Vegas::new())),
    ("Gradient2", || Box::new(Gradient2::new())),
    ("Gradient2 100 ms", || Box::new(Windowed::new(Gradient2::new(), Duration::from_millis(100)))),
];

#[test]
fn ours_is_not_worse_than_the_best_of_the_known() {
    let only = std::env::var("SCENARIO").ok();
    for scenario in scenarios() {
        if only.as_ref().is_some_and(|only| !scenario.name.contains(only.as_str())) {
            continue;
        }
        println!("{}", scenario.name);
        for (name, make) in ALGORITHMS {
            let runs: Vec<_> = (std::env::var("SEED").map_or(1, |s| s.parse().unwrap())
                ..=std::env::var("SEED").map_or(4, |s| s.parse().unwrap()))
                .map(|seed| Simulation::run(scenario, seed, &make))
                .collect();
            let trace = &runs[0].1;
            let measured = Measured::mean(runs.iter().map(|run| run.0));
            if name == "Knee" {
                print!("       ");
                for run in &runs {
                    print!(" {:.2}", run.0.power());
                }
                println!();
            }
            let Measured { goodput, latency, refused, limit_mean, limit_sway, fairness } = measured;
            println!(
                "    {name:18} power {:.2}  goodput {goodput:.2}  latency {latency:5.2}  refused {refused:.2}  limit {limit_mean:6.1} ±{limit_sway:.2}  fair {fairness:.2}",
                measured.power()
            );
            if only.is_some() && name == "Knee" {
                for (t, l) in trace.iter().step_by(20) {
                    print!("{t:.1}:{l:.0} ");
                }
                println!();
            }
        }
    }
}
