//! How many requests of a plan's kind the generator could send.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::server::Server;
use crate::Error;
use crate::plan::Plan;
use crate::profile::Profile;
use crate::run::{Run, Snapshot, run};
use crate::target::{Protocol, Target};

/// How long it is measured.
const SPAN: Duration = Duration::from_secs(2);
/// What is offered for each worker, within these bounds: a generator that is nearly idle pays more
/// for each request than one that is busy.
const RATE_OF_A_WORKER: std::ops::RangeInclusive<f64> = 2_000.0..=10_000.0;

/// A server that answers at once needs few connections; both ends of each are this process's.
const CONNECTIONS_MAX: u32 = 256;

/// What the generator costs when the server costs it nothing.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Ceiling {
    /// Requests a second that its threads have the processor time for, if each has a processor.
    pub per_second: f64,
    /// Processor time of one request of this mix, in microseconds.
    pub cpu_micros: f64,
    /// How many requests it was measured with.
    pub requests: u64,
}

/// Measures what a request of this plan costs, against a trivial server in this process, for two
/// seconds: the same mix, tenants, data, protocol and threads. TLS is left out, so under `https` the
/// ceiling is lower than this.
///
/// It is measured in processor time, not by sending as much as can be: a machine that is busy with
/// something else, the server itself above all, would make the ceiling look low.
///
/// # Errors
/// The plan is wrong, the machine has no port or thread for the server, or nothing was answered.
///
/// # Panics
/// If a worker panics.
///
/// # Cancel safety
/// Dropped midway, the threads end, and nothing is left.
pub async fn ceiling(plan: &Plan, cancellation: &CancellationToken) -> Result<Ceiling, Error> {
    let workers = plan.workers();
    let each = plan.profile.rate_max() / workers as f64;
    let rate = each.clamp(*RATE_OF_A_WORKER.start(), *RATE_OF_A_WORKER.end()) * workers as f64;
    let server = Server::start()?;
    let mut trial = plan.clone();
    trial.target = Target::new(&format!("http://{}{}", server.address(), plan.target.path()))?;
    trial.profile = Profile::steady(rate, SPAN)?;
    trial.workers = Some(workers);
    trial.slow = None;
    trial.connections.open = trial.connections.open.min(64);
    trial.connections.max = trial.connections.max.min(CONNECTIONS_MAX).max(workers as u32);
    if trial.protocol == Protocol::Auto && plan.target.is_https() {
        // What would be chosen is not known here; most servers choose it.
        trial.protocol = Protocol::Http2;
    }
    let (observer, _) = watch::channel(Snapshot::default());
    let measured = run(&trial, cancellation, &observer).await?;
    Ceiling::of(&measured, workers).ok_or_else(|| Error::Machine {
        what: "the generator's own server",
        why: format!("answered none of {} requests", measured.due()),
    })
}

impl Ceiling {
    /// What a run says about it; `None` of one without answers.
    fn of(run: &Run, workers: usize) -> Option<Self> {
        let requests = run.total().counts.answered();
        let cpu_micros = run.generator.cpu.as_secs_f64() * 1e6 / requests as f64;
        (requests > 0 && cpu_micros > 0.0).then(|| Self {
            per_second: workers as f64 * 1e6 / cpu_micros,
            cpu_micros,
            requests,
        })
    }
}
