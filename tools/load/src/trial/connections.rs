//! Whether the generator's own bound on connections held requests up.

use crate::figure::{grouped, percent};
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

/// Why what a stage has shown may be the generator's doing, if it may: it had no more connections, so
/// that requests waited for one, while the answers took no longer than with little load, which is
/// `unloaded_ms`. Where nothing is answered at all, more connections would not help.
pub(super) fn held_up(plan: &Plan, run: &Run, stage: usize, unloaded_ms: Option<f64>) -> Option<String> {
    let service = service_ms(run, stage)?;
    let stage = &run.stages[stage];
    let slowed = unloaded_ms.is_some_and(|unloaded| service > SLOWED * unloaded);
    if stage.capped == 0 || slowed {
        return None;
    }
    let share = percent(stage.capped as f64 / stage.due.max(1) as f64);
    Some(match &run.generator.first_denial {
        Some(why) => format!(
            "{share} waited for a connection that the generator's machine did not give ({why}): allow it more"
        ),
        None => format!(
            "{share} waited while all {} connections were in use that the generator may have: raise --connections",
            grouped(u64::from(plan.connections.max - plan.slow_clients()))
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mix::{Mix, Request};
    use crate::profile::{Profile, Shape, Stage};
    use crate::run::{Generator, StageRun};
    use crate::tally::{Class, Tally, histogram};
    use crate::target::Target;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is said of a stage in which so many of a hundred waited for want of connections, where
    /// answers took so long.
    fn told(capped: u64, service: Duration, unloaded_ms: Option<f64>) -> Option<String> {
        let mut tally = Tally::default();
        (0..100).for_each(|_| tally.record(Class::Success, SECOND, service));
        let stage = Stage { name: "a".into(), shape: Shape::Steady { rate: 1e2 }, length: SECOND };
        let lateness = histogram(2);
        let run = Run {
            stages: vec![StageRun { stage, due: 100, tally, tenants: Vec::new(), lateness, capped }],
            seconds: Vec::new(),
            slow: None,
            generator: Generator::new(1),
            took: SECOND,
            arrivals_stopped: None,
            cancelled: false,
        };
        let target = Target::new("http://h/").unwrap();
        let mix = Mix::new(vec![Request::get("")]).unwrap();
        let plan = Plan::new(target, Profile::steady(100.0, SECOND).unwrap(), mix);
        held_up(&plan, &run, 0, unloaded_ms)
    }

    #[test]
    fn all_connections_in_use_at_a_target_as_fast_as_ever_are_too_few() {
        let half = SECOND / 2;
        let why = told(40, half, Some(490.0)).unwrap();
        assert!(why.starts_with("40 % waited") && why.ends_with("raise --connections"), "{why}");
        assert!(told(40, half, None).is_some(), "how fast it is with little load is not known");
        assert_eq!(told(0, half, Some(490.0)), None, "none waited for the generator's own bound");
    }

    #[test]
    fn a_target_that_is_slower_the_more_connections_it_has_is_full_itself() {
        assert_eq!(told(40, SECOND / 2, Some(5.0)), None);
    }
}
