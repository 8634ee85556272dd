//! Whether the generator's own bound on connections held requests up.

use crate::figure::count;
use crate::plan::Plan;
use crate::run::Run;

/// Where answers take so many times as long as with little load, as many connections are in use as the
/// target fills by itself: it would get no more done with more of them.
const SLOWED: f64 = 2.0;

/// The mean time of the successes of a stage from when they were sent, in milliseconds; `None` of none.
pub(super) fn service_ms(run: &Run, stage: usize) -> Option<f64> {
    let service = &run.stages.get(stage)?.tally.service;
    (!service.is_empty()).then(|| service.mean() / 1_000.0)
}

/// Why what a stage has shown may be the generator's doing, if it may: all the connections that it may
/// have were in use, requests waited for one, and the answers took no longer than with little load,
/// which is `unloaded_ms`. Where nothing is answered at all, more connections would not help.
pub(super) fn held_up(plan: &Plan, run: &Run, stage: usize, unloaded_ms: Option<f64>) -> Option<String> {
    let most = u64::from(plan.connections.max - plan.slow_clients());
    let in_use = run
        .seconds
        .iter()
        .any(|second| second.stage == stage && second.waiting > 0 && second.connections >= most);
    let service = service_ms(run, stage)?;
    let slowed = unloaded_ms.is_some_and(|unloaded| service > SLOWED * unloaded);
    (in_use && !slowed).then(|| {
        format!(
            "all {} connections that the generator may have were in use, and requests waited for one: raise --connections",
            count(most as f64)
        )
    })
}
