//! Every algorithm of [`plimsoll::adaptive`] in the same scenarios, by simulation.
//!
//! `cargo test -p plimsoll --test adaptive_scenarios -- --nocapture` prints the table; with
//! `SEEDS=4` it is the average of four runs, as in the documentation of the module.

mod scenarios;
mod simulation;

use std::time::Duration;

use plimsoll::adaptive::{Aimd, Algorithm, Gradient2, Knee, Vegas, Windowed};
use simulation::{Measured, Simulation};

type Make = fn() -> Box<dyn Algorithm>;

const KNOWN: [(&str, Make); 4] = [
    ("Aimd", || Box::new(Aimd::new())),
    ("Vegas", || Box::new(Vegas::new())),
    ("Gradient2", || Box::new(Gradient2::new())),
    ("Gradient2, windows of 100 ms", || {
        Box::new(Windowed::new(Gradient2::new(), Duration::from_millis(100)))
    }),
];

#[test]
fn the_knee_is_near_the_best_of_the_known_in_every_scenario_and_within_its_bounds() {
    let seeds = std::env::var("SEEDS").map_or(1, |seeds| seeds.parse().expect("a number of seeds"));
    println!("{:34} {:>27}   best of the known", "power (goodput, latency)", "Knee");
    let mut worse = Vec::new();
    for (scenario, bounds) in scenarios::all() {
        let measure =
            |make: Make| Measured::mean((1..=seeds).map(|seed| Simulation::run(&scenario, seed, &make)));
        let knee = measure(|| Box::new(Knee::new()));
        let known = KNOWN.map(|(name, make)| (name, measure(make)));
        let best = known.iter().max_by(|a, b| a.1.power().total_cmp(&b.1.power()));
        let (name, best) = best.expect("there are some");
        println!(
            "{:34} {:.2} ({:.2}, {:5.2}) ±{:.2}  {:.2} ({:.2}, {:5.2}) {name}",
            scenario.name,
            knee.power(),
            knee.goodput,
            knee.latency,
            knee.limit_sway,
            best.power(),
            best.goodput,
            best.latency,
        );
        let within = knee.goodput >= bounds.goodput
            && knee.latency <= bounds.latency
            && knee.refused <= bounds.refused
            && knee.fairness >= 0.9
            && knee.power() >= bounds.to_best * best.power();
        if !within {
            worse.push((scenario.name, knee));
        }
    }
    assert!(worse.is_empty(), "out of bounds: {worse:#?}");
}
