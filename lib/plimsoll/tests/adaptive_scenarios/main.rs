//! Every algorithm of [`plimsoll::adaptive`] in the same scenarios, by simulation.
//!
//! `cargo test -p plimsoll --test adaptive_scenarios -- --nocapture` prints the tables, of the knee beside
//! the best of the known alone; with `SEEDS=4` all are there, and each is the average of four runs, as in
//! the documentation of the module. `DRAWN=1001..1251` takes those of the scenarios that are drawn at
//! random, ten times as long and with all algorithms (best with `CARGO_PROFILE_DEV_OPT_LEVEL=3`); the
//! knee was tuned on some of 1 to 250, and on none above.

mod drawn;
mod scenarios;
mod simulation;

use std::ops::Range;
use std::time::Duration;

use plimsoll::adaptive::{Aimd, Algorithm, Gradient2, Knee, Vegas, Windowed};
use simulation::{Measured, Simulation};

type Make = fn() -> Box<dyn Algorithm>;

/// The best of the known, in nearly all of them.
const BEST_KNOWN: &str = "Gradient2, windows of 100 ms";

const KNOWN: [(&str, Make); 4] = [
    ("Aimd", || Box::new(Aimd::new())),
    ("Vegas", || Box::new(Vegas::new())),
    ("Gradient2", || Box::new(Gradient2::new())),
    (BEST_KNOWN, || Box::new(Windowed::new(Gradient2::new(), Duration::from_millis(100)))),
];

/// Not only the best of the known.
fn every() -> bool {
    std::env::var_os("SEEDS").is_some() || std::env::var_os("DRAWN").is_some()
}

#[test]
fn the_knee_is_near_the_best_of_the_known_in_every_scenario_and_within_its_bounds() {
    let seeds = std::env::var("SEEDS").map_or(1, |seeds| seeds.parse().expect("a number of seeds"));
    println!("{:34} {:>27}   best of the known", "power (goodput, latency)", "Knee");
    let mut worse = Vec::new();
    for (scenario, bounds) in scenarios::all() {
        let measure =
            |make: Make| Measured::mean((1..=seeds).map(|seed| Simulation::run(&scenario, seed, &make)));
        let knee = measure(|| Box::new(Knee::new()));
        let known = KNOWN.iter().filter(|known| every() || known.0 == BEST_KNOWN);
        let known: Vec<_> = known.map(|(name, make)| (*name, measure(*make))).collect();
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

/// Which of the drawn scenarios, from the first to before the last, and how long each is.
fn to_draw() -> (Range<u64>, drawn::Length) {
    let Ok(wanted) = std::env::var("DRAWN") else {
        return (1..25, drawn::Length { calls: 3_000.0, bases: 40.0 });
    };
    let (first, last) = wanted.split_once("..").expect("DRAWN is a range, as 1..200");
    let number = |text: &str| text.parse().expect("DRAWN is a range of numbers");
    (number(first)..number(last), drawn::Length { calls: 40_000.0, bases: 300.0 })
}

/// Mean, tenth percentile and worst.
fn summary(mut powers: Vec<f64>) -> (f64, f64, f64) {
    powers.sort_by(f64::total_cmp);
    (powers.iter().sum::<f64>() / powers.len() as f64, powers[powers.len() / 10], powers[0])
}

#[test]
fn in_scenarios_drawn_at_random_the_knee_is_above_the_known() {
    let (numbers, length) = to_draw();
    let mut names = vec!["Knee"];
    let mut makes: Vec<Make> = vec![|| Box::new(Knee::new())];
    for (name, make) in KNOWN {
        if every() || name == BEST_KNOWN {
            names.push(name);
            makes.push(make);
        }
    }
    let rows: Vec<(String, Vec<Measured>)> = numbers
        .map(|number| {
            let (scenario, name) = drawn::draw(number, length);
            (name, makes.iter().map(|make| Simulation::run(&scenario, number, make)).collect())
        })
        .collect();
    println!("{:30} mean  10th  worst (power)  goodput, latency, refused while healthy", "");
    let mut summaries = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let summary = summary(rows.iter().map(|row| row.1[index].power()).collect());
        let mean = Measured::mean(rows.iter().map(|row| row.1[index]));
        println!(
            "{name:30} {:.3} {:.3} {:.3}  {:.3} {:.2} {:.4}",
            summary.0, summary.1, summary.2, mean.goodput, mean.latency, mean.healthy_refused
        );
        summaries.push(summary);
    }
    println!("\nThose in which the knee does worst:");
    let mut worst: Vec<_> = rows.iter().map(|(name, measured)| (measured[0].power(), name)).collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (power, name) in worst.iter().take(10) {
        println!("{power:.2} {name}");
    }
    let knee = summaries[0];
    for (known, name) in summaries.iter().zip(names).skip(1) {
        assert!(knee.0 > known.0 && knee.1 >= known.1, "{knee:?} is not above {known:?} of {name}");
    }
}
