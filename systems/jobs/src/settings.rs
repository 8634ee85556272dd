//! What an operator can set of jobs.

use std::time::Duration;

use plimsoll_service::config::{ConfigError, Kind, Resolved, Setting, Tier};
use rustc_hash::FxHashMap;

const DAY: u64 = 86_400;

/// The table of jobs' settings.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "jobs.tenant_backlog_max",
        "1000000",
        Kind::Integer { min: 1, max: 1_000_000_000_000 },
        "How many jobs of one tenant may be unfinished; one more is answered 429.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.backlog_max",
        "50000000",
        Kind::Integer { min: 1, max: 1_000_000_000_000 },
        "How many jobs may be unfinished in all; one more is answered 503.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.tenants_max",
        "100000",
        Kind::Integer { min: 1, max: 10_000_000 },
        "How many tenants may have unfinished jobs; a job of one more is answered 503.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.tenant_lanes_max",
        "10000",
        Kind::Integer { min: 64, max: 10_000_000 },
        "How many lanes of one tenant (a kind, or a share of a kind's keys) have jobs in memory; a job that \
         needs one more is answered 429.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.lanes_max",
        "200000",
        Kind::Integer { min: 64, max: 10_000_000 },
        "How many lanes of all tenants have jobs in memory; a job that needs one more is answered 503.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.tenant_concurrency",
        "64",
        Kind::Integer { min: 1, max: 65_536 },
        "How many jobs of one tenant are at work at once, whoever does them.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.claims_max",
        "10000",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many jobs workers over HTTP have at once in all.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.org_claims_max",
        "5000",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many jobs the workers of one organisation have at once over HTTP.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.worker_claims_max",
        "1000",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many jobs one worker over HTTP has at once; a claim beyond that is answered 429.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.polls_max",
        "1024",
        Kind::Integer { min: 1, max: 65_536 },
        "How many workers wait for jobs over HTTP at once; one more is answered 503.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.org_polls_max",
        "512",
        Kind::Integer { min: 1, max: 65_536 },
        "How many workers of one organisation wait for jobs over HTTP at once; one more is answered 429.",
    )
    .of(Tier::Tenant),
    Setting::new(
        "jobs.lease_seconds",
        "30",
        Kind::Seconds { min: 1, max: 3_600 },
        "How long a worker over HTTP may be silent before its jobs go to others.",
    ),
    Setting::new(
        "jobs.run_timeout_seconds",
        "300",
        Kind::Seconds { min: 1, max: 7 * DAY },
        "How long a run may take, where the job does not say.",
    ),
    Setting::new(
        "jobs.attempts_max",
        "10",
        Kind::Integer { min: 1, max: 1_000 },
        "How often a job is tried, where it does not say; after the last failure it is dead.",
    ),
    Setting::new(
        "jobs.crashes_max",
        "3",
        Kind::Integer { min: 1, max: 1_000 },
        "How many workers may crash over a job before it is dead.",
    ),
    Setting::new(
        "jobs.retry_first_ms",
        "1000",
        Kind::Milliseconds { min: 1, max: 86_400_000 },
        "How long a job waits at the most after its first failure; each other time twice as long.",
    ),
    Setting::new(
        "jobs.retry_longest_ms",
        "3600000",
        Kind::Milliseconds { min: 1, max: 86_400_000 },
        "How long a job waits at the most after any failure.",
    ),
    Setting::new(
        "jobs.payload_bytes_max",
        "262144",
        Kind::Integer { min: 64, max: 16 << 20 },
        "How large the payload of a job may be; its request, as any, is no larger than hooks.payload_bytes_max.",
    )
    .of(Tier::Admission),
    Setting::new(
        "jobs.keep_done_seconds",
        "86400",
        Kind::Seconds { min: 0, max: 366 * DAY },
        "How long jobs that are done or cancelled can be looked up.",
    ),
    Setting::new(
        "jobs.keep_dead_seconds",
        "2592000",
        Kind::Seconds { min: 0, max: 366 * DAY },
        "How long dead jobs are kept, to be tried again by hand.",
    ),
    Setting::new(
        "jobs.window",
        "256",
        Kind::Integer { min: 4, max: 4_096 },
        "How many jobs of one kind of one tenant wait in memory; the rest waits on disk.",
    ),
    Setting::new(
        "jobs.window_total",
        "200000",
        Kind::Integer { min: 1_000, max: 100_000_000 },
        "How many jobs wait in memory in all, but for the first few of each tenant and kind.",
    ),
    Setting::optional(
        "jobs.tenant_weights",
        Kind::TextList { items_max: 1_024 },
        "Tenants with more than one turn in a round, as name=turns.",
    ),
];

/// The settings of jobs, read and checked against one another.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Unfinished jobs of one tenant.
    pub tenant_backlog_max: u64,
    /// Unfinished jobs in all.
    pub backlog_max: u64,
    /// Tenants with unfinished jobs.
    pub tenants_max: usize,
    /// Lanes of one tenant in memory.
    pub tenant_lanes_max: usize,
    /// Lanes in memory in all.
    pub lanes_max: usize,
    /// Jobs of one tenant at work at once.
    pub tenant_concurrency: usize,
    /// Jobs that workers over HTTP have at once.
    pub claims_max: usize,
    /// Jobs that those of one organisation have at once.
    pub org_claims_max: usize,
    /// Jobs that one of them has at once.
    pub worker_claims_max: usize,
    /// Workers that wait over HTTP at once.
    pub polls_max: usize,
    /// Those of them that are of one organisation.
    pub org_polls_max: usize,
    /// How long one of them may be silent.
    pub lease: Duration,
    /// How long a run may take.
    pub run_timeout: Duration,
    /// How often a job is tried.
    pub attempts_max: u32,
    /// How many workers may crash over it.
    pub crashes_max: u32,
    /// The longest wait after the first failure.
    pub retry_first: Duration,
    /// The longest wait after any.
    pub retry_longest: Duration,
    /// Bytes of a payload.
    pub payload_bytes_max: usize,
    /// How long what is done or cancelled is kept.
    pub keep_done: Duration,
    /// How long what is dead is kept.
    pub keep_dead: Duration,
    /// Jobs of one lane in memory.
    pub window: usize,
    /// Jobs of all lanes in memory.
    pub window_total: usize,
    /// Turns of tenants that have more than one.
    pub tenant_weights: FxHashMap<String, u32>,
}

impl Settings {
    /// Reads them out of what is in force.
    ///
    /// # Errors
    /// When two of them contradict each other, or a weight is none.
    ///
    /// # Panics
    /// When [`SETTINGS`] was not loaded.
    pub fn resolve(resolved: &Resolved) -> Result<Self, ConfigError> {
        const ORDERED: [(&str, &str); 3] = [
            ("jobs.tenant_backlog_max", "jobs.backlog_max"),
            ("jobs.worker_claims_max", "jobs.claims_max"),
            ("jobs.window", "jobs.window_total"),
        ];
        let milliseconds = |key| u64::try_from(resolved.duration(key).as_millis()).unwrap_or(u64::MAX);
        let ordered = ORDERED.map(|(low, high)| (low, high, resolved.integer(low), resolved.integer(high)));
        let (first, longest) = ("jobs.retry_first_ms", "jobs.retry_longest_ms");
        let waits = (first, longest, milliseconds(first), milliseconds(longest));
        for (low, high, got, at_most) in ordered.into_iter().chain([waits]) {
            if got > at_most {
                let source = &resolved.entry(low).source;
                let problem =
                    format!("{low} is {got} ({source}), allowed is at most {high}, which is {at_most}");
                return Err(ConfigError::one(problem));
            }
        }
        let small = |key| u32::try_from(resolved.integer(key)).unwrap_or(u32::MAX);
        Ok(Self {
            tenant_backlog_max: resolved.integer("jobs.tenant_backlog_max"),
            backlog_max: resolved.integer("jobs.backlog_max"),
            tenants_max: resolved.count("jobs.tenants_max"),
            tenant_lanes_max: resolved.count("jobs.tenant_lanes_max"),
            lanes_max: resolved.count("jobs.lanes_max"),
            tenant_concurrency: resolved.count("jobs.tenant_concurrency"),
            claims_max: resolved.count("jobs.claims_max"),
            org_claims_max: resolved.count("jobs.org_claims_max"),
            worker_claims_max: resolved.count("jobs.worker_claims_max"),
            polls_max: resolved.count("jobs.polls_max"),
            org_polls_max: resolved.count("jobs.org_polls_max"),
            lease: resolved.duration("jobs.lease_seconds"),
            run_timeout: resolved.duration("jobs.run_timeout_seconds"),
            attempts_max: small("jobs.attempts_max"),
            crashes_max: small("jobs.crashes_max"),
            retry_first: resolved.duration(first),
            retry_longest: resolved.duration(longest),
            payload_bytes_max: resolved.count("jobs.payload_bytes_max"),
            keep_done: resolved.duration("jobs.keep_done_seconds"),
            keep_dead: resolved.duration("jobs.keep_dead_seconds"),
            window: resolved.count("jobs.window"),
            window_total: resolved.count("jobs.window_total"),
            tenant_weights: weights(resolved)?,
        })
    }
}

fn weights(resolved: &Resolved) -> Result<FxHashMap<String, u32>, ConfigError> {
    const KEY: &str = "jobs.tenant_weights";
    let read = |item: &String| {
        let (tenant, turns) = item.rsplit_once('=')?;
        let turns = turns.parse().ok().filter(|turns| (1..=1_000).contains(turns))?;
        Some((tenant.to_owned(), turns))
    };
    let refused = |item: &String| {
        ConfigError::one(format!("{KEY} has {item:?}, allowed is name=turns with 1 to 1000 turns"))
    };
    resolved.texts(KEY).iter().map(|item| read(item).ok_or_else(|| refused(item))).collect()
}

impl Default for Settings {
    /// What [`SETTINGS`] say.
    fn default() -> Self {
        let resolved = Resolved::load(&[SETTINGS], plimsoll_service::config::Inputs::default());
        let settings = resolved.and_then(|resolved| Self::resolve(&resolved));
        settings.expect("the defaults are in their ranges and fit each other")
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_service::config::Inputs;

    use super::*;

    fn resolve(flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let flag = |(key, value): &(&str, &str)| ((*key).into(), (*value).into(), "--set".into());
        let flags = flags.iter().map(flag).collect();
        Settings::resolve(&Resolved::load(&[SETTINGS], Inputs { flags, ..Inputs::default() })?)
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let refused = resolve(&[("jobs.worker_claims_max", "10001")]).unwrap_err().to_string();
        assert!(refused.contains("jobs.worker_claims_max is 10001"), "{refused}");
        assert!(resolve(&[("jobs.retry_first_ms", "3600001")]).is_err());
    }

    #[test]
    fn weights_are_names_and_turns() {
        let settings = resolve(&[("jobs.tenant_weights", "acme=4,a=b=2")]).unwrap();
        assert_eq!((settings.tenant_weights["acme"], settings.tenant_weights["a=b"]), (4, 2));
        for bad in ["acme", "acme=0", "acme=x", "acme=1001"] {
            assert!(resolve(&[("jobs.tenant_weights", bad)]).is_err(), "{bad}");
        }
    }
}
