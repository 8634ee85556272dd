//! Who of the tenants is quiet, and what they got.

use crate::judge::{Quiet, Tenancy};
use crate::plan::Plan;
use crate::run::Run;
use crate::tally::TenantTally;

/// Tenants that are named in an assertion.
const NAMES: usize = 3;

/// Whether some tenants are lighter than others, and the target is told which is which.
pub(super) fn tenancy(plan: &Plan) -> Tenancy {
    let Some(tenants) = plan.tenants.as_ref().filter(|_| plan.tells_tenants()) else {
        return Tenancy::Alike;
    };
    let weights = || tenants.list().iter().map(|tenant| tenant.weight);
    let (least, most) =
        weights().fold((f64::MAX, 0.0_f64), |(least, most), weight| (least.min(weight), most.max(weight)));
    if least < most { Tenancy::Weighted } else { Tenancy::Alike }
}

/// What those of the least weight got in the first two parts.
pub(super) fn quietest(plan: &Plan, run: &Run) -> Option<Quiet> {
    if tenancy(plan) == Tenancy::Alike || run.stages.len() < 2 {
        return None;
    }
    let tenants = plan.tenants.as_ref()?;
    let least = tenants.list().iter().map(|tenant| tenant.weight).fold(f64::MAX, f64::min);
    let all: f64 = tenants.list().iter().map(|tenant| tenant.weight).sum();
    let quiet: Vec<&str> = tenants
        .list()
        .iter()
        .filter(|tenant| tenant.weight <= least)
        .map(|tenant| tenant.name.as_str())
        .collect();
    // Those that are not kept apart are the lightest.
    let counts =
        |name: Option<&String>| name.map_or(tenants.others() > 0, |name| quiet.contains(&name.as_str()));
    let phase = |number: usize| {
        let mut sum = TenantTally::default();
        for tenant in run.stages[number].tenants.iter().filter(|tenant| counts(tenant.name.as_ref())) {
            sum.merge(&tenant.tally);
        }
        (sum.counts.total(), sum.counts.success(), sum.latency.value_at_quantile(0.99) as f64 / 1_000.0)
    };
    let mut names = quiet.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    if quiet.len() > NAMES {
        names = format!("{names} and {} others", quiet.len() - NAMES);
    }
    let share_ratio = least / all * tenants.list().len() as f64;
    Some(Quiet { names, share_ratio, phases: [phase(0), phase(1)] })
}
