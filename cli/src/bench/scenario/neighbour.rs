//! What one tenant notices of another.

use std::time::Duration;

use super::super::house::{Closed, Held, House, Spot};
use super::super::load::{Load, Pace, Refused};
use super::super::rates::{median, ratio};
use super::super::say;
use super::super::site::Site;
use super::fan_out::{DESTINATIONS, ENDPOINTS};
use super::outcome::Wanted;
use super::throughput::AT_ONCE;
use super::{Outcome, Scale, Scenario};
use crate::receiver::{Behaviour, Summary, machine_micros};
use crate::stage::number::{grouped, millis};

/// Pairs of runs, with the neighbour and without it.
const PAIRS: usize = 5;
/// What the victim sends a second, and the noisy neighbour.
const PER_SECOND: f64 = 200.0;
/// How many connections each sends on.
const CONNECTIONS: usize = 16;
/// How many events the big neighbour has queued before anything is measured.
const QUEUED: u64 = 500;
/// How many of them are sent on while it is measured, a second.
const QUEUED_PER_SECOND: f64 = 5.0;
/// How long the endpoint of the noisy neighbour takes.
const DELAY_MS: u32 = 5_000;
/// How often the victim's median may be what it is alone, and its 99th percentile.
const P50_TIMES: f64 = 1.2;
const P99_TIMES: f64 = 2.0;
/// Before what is measured: the neighbour's slots must be full.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of how many of the neighbour's endpoints the books are compared.
const COMPARED: usize = 40;
const VICTIM: usize = 0;
const NEIGHBOUR: usize = 1;

/// How the neighbour is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Noisy,
    Big,
}

/// What the victim saw in one run.
#[derive(Clone, Copy)]
struct Run {
    latency: Summary,
    closed: Closed,
    held: Held,
    neighbour_accepted: u64,
    neighbour_refused: u64,
}

pub(super) async fn noisy(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    pairs(site, scale, Kind::Noisy).await
}

pub(super) async fn big(site: &mut Site, scale: Scale) -> Result<Outcome, String> {
    pairs(site, scale, Kind::Big).await
}

async fn pairs(site: &mut Site, scale: Scale, kind: Kind) -> Result<Outcome, String> {
    let (mut alone, mut beside) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
    for pair in 0..PAIRS {
        // In turns, so that what changes over time is on neither side.
        for with in [pair % 2 == 1, pair % 2 == 0] {
            let neighbour = with.then_some(kind);
            let run = site.with_house(kind.spots(), &[], async |house: &mut House| {
                run(house, neighbour, scale.span).await
            });
            let run = run.await?;
            say(&format!(
                "victim {} p50 {}, p99 {}",
                if with { "with neighbour " } else { "alone          " },
                millis(run.latency.p50_ms),
                millis(run.latency.p99_ms)
            ));
            if with { beside.push(run) } else { alone.push(run) }
        }
    }
    Ok(kind.judge(&alone, &beside))
}

impl Kind {
    fn spots(self) -> Vec<Spot> {
        let victim = Spot::healthy(VICTIM, 0);
        let neighbour = |behaviour, port| Spot { behaviour, timed: false, ..Spot::healthy(NEIGHBOUR, port) };
        match self {
            Self::Noisy => vec![victim, neighbour(Behaviour::Slow { delay_ms: DELAY_MS }, 1)],
            Self::Big => {
                let many =
                    (0..ENDPOINTS).map(|number| neighbour(Behaviour::DripsAll, 1 + number % DESTINATIONS));
                std::iter::once(victim).chain(many).collect()
            }
        }
    }

    /// Starts the neighbour; what it has queued is queued when this returns.
    async fn start(self, house: &mut House) -> Result<Load, String> {
        match self {
            Self::Noisy => {
                house.send(NEIGHBOUR, CONNECTIONS, Pace::PerSecond(PER_SECOND), Refused::GivenUp).await
            }
            Self::Big => {
                let load = house.send(NEIGHBOUR, CONNECTIONS, Pace::OnCredit, Refused::GivenUp).await?;
                load.credit(QUEUED);
                while load.sent().decided() < QUEUED {
                    house.tick(&[&load]).await?;
                }
                Ok(load)
            }
        }
    }

    fn judge(self, alone: &[Run], beside: &[Run]) -> Outcome {
        let times = |of: fn(&Run) -> f64| {
            let pairs = alone.iter().zip(beside);
            median(&pairs.map(|(alone, beside)| ratio(of(beside), of(alone))).collect::<Vec<f64>>())
        };
        let middle = |runs: &[Run], of: fn(&Run) -> f64| median(&runs.iter().map(of).collect::<Vec<f64>>());
        let p50 = |run: &Run| run.latency.p50_ms;
        let p99 = |run: &Run| run.latency.p99_ms;
        let mut outcome =
            Outcome::new(if self == Self::Noisy { Scenario::NoisyNeighbour } else { Scenario::BigNeighbour });
        outcome.headline(format!(
            "victim's p50 {} -> {}, p99 {} -> {} (medians of {PAIRS} pairs)",
            millis(middle(alone, p50)),
            millis(middle(beside, p50)),
            millis(middle(alone, p99)),
            millis(middle(beside, p99)),
        ));
        outcome.mark("victim_p50_times", times(p50), Wanted::AtMost(P50_TIMES));
        outcome.mark("victim_p99_times", times(p99), Wanted::AtMost(P99_TIMES));
        let mut closed = Closed::default();
        alone.iter().chain(beside).for_each(|run| closed.add(&run.closed));
        outcome.mark_books(&closed);
        if let Some(most) = beside.iter().map(|run| run.held).max_by_key(|held| held.memory()) {
            outcome.mark_held(most, 2 * (CONNECTIONS as u64 + AT_ONCE) + DESTINATIONS as u64);
        }
        outcome.figure("victim_p50_alone_ms", middle(alone, p50));
        outcome.figure("victim_p99_alone_ms", middle(alone, p99));
        outcome.figure("victim_p50_ms", middle(beside, p50));
        outcome.figure("victim_p99_ms", middle(beside, p99));
        outcome.figure("neighbour_accepted", middle(beside, |run| run.neighbour_accepted as f64));
        outcome.figure("neighbour_refused", middle(beside, |run| run.neighbour_refused as f64));
        outcome
    }
}

async fn run(house: &mut House, neighbour: Option<Kind>, span: Duration) -> Result<Run, String> {
    let seconds = (WARM_UP + span).as_secs_f64() + 30.0;
    house.open((PER_SECOND * seconds) as usize).await?;
    let mut other = match neighbour {
        Some(kind) => Some(kind.start(house).await?),
        None => None,
    };
    let mut victim =
        house.send(VICTIM, CONNECTIONS, Pace::PerSecond(PER_SECOND), Refused::TriedAgain).await?;
    house.watch(WARM_UP, &[&victim]).await?;
    let from = machine_micros();
    let until = from + span.as_micros() as u64;
    while machine_micros() < until {
        if let Some(other) = &other {
            let passed = (machine_micros() - from) as f64 / 1e6;
            other.credit(QUEUED + (passed * QUEUED_PER_SECOND) as u64);
        }
        house.tick(&[&victim]).await?;
    }
    victim.stop().await?;
    let mut closed = house.settle(&[&victim]).await?;
    let latency = house.latency_since(from).await?;
    let (mut neighbour_accepted, mut neighbour_refused) = (0, 0);
    if let Some(other) = &mut other {
        other.stop().await?;
        let sent = other.sent();
        (neighbour_accepted, neighbour_refused) = (sent.accepted, sent.too_many + sent.unavailable);
        closed.lost += not_accounted_for(house, sent.accepted).await?;
    }
    Ok(Run { latency, closed, held: house.held(), neighbour_accepted, neighbour_refused })
}

/// What of the neighbour's accepted events the server no longer knows: they are not waited for, but
/// they must be there. Of its many endpoints some are asked.
async fn not_accounted_for(house: &House, accepted: u64) -> Result<u64, String> {
    let endpoints = house.endpoints_of(NEIGHBOUR);
    let every = endpoints.len().div_ceil(COMPARED).max(1);
    let told = house.told(endpoints.into_iter().step_by(every)).await?;
    let known = |told: &crate::stage::setup::Told| told.success + told.pending + told.sending + told.fail;
    let missing: u64 = told.iter().map(|told| accepted.saturating_sub(known(told))).sum();
    if missing > 0 {
        say(&format!("the server does not know of {} of the neighbour's deliveries", grouped(missing)));
    }
    Ok(missing)
}
