//! What an operator can set of hooks.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use plimsoll_service::config::{ConfigError, Kind, Resolved, Setting, Tier};

/// The table of hooks' settings; `allow_private` is the host's, since other systems heed it too.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "hooks.retry_schedule_seconds",
        "5,300,1800,7200,18000,36000,36000",
        Kind::SecondsList { min: 0, max: 30 * DAY, items_max: 32 },
        "How long after each failed attempt the next one is made; after the last the delivery is dead.",
    ),
    Setting::new(
        "hooks.retry_jitter_ratio",
        "0.2",
        Kind::Number { min: 0.0, max: 1.0 },
        "How far a retry may move from its place in the schedule, either way, as a share of the delay.",
    ),
    Setting::new(
        "hooks.attempt_timeout_ms",
        "15000",
        Kind::Milliseconds { min: 100, max: 120_000 },
        "How long an attempt may take, from connecting to the last byte of the response.",
    ),
    Setting::new(
        "hooks.connect_timeout_ms",
        "5000",
        Kind::Milliseconds { min: 50, max: 60_000 },
        "How long connecting may take, TLS included; part of the attempt's time.",
    ),
    Setting::new(
        "hooks.response_bytes_max",
        "16384",
        Kind::Integer { min: 0, max: 1 << 20 },
        "How many bytes of a response are read and kept.",
    ),
    Setting::new(
        "hooks.concurrency",
        "4096",
        Kind::Integer { min: 1, max: 65_536 },
        "How many deliveries run at once in all.",
    )
    .of(Tier::Admission),
    Setting::new(
        "hooks.tenant_concurrency",
        "64",
        Kind::Integer { min: 1, max: 65_536 },
        "How many deliveries of one application run at once.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::new(
        "hooks.endpoint_concurrency",
        "10",
        Kind::Integer { min: 1, max: 65_536 },
        "How many deliveries to one endpoint run at once.",
    )
    .of(Tier::Endpoint)
    .at_runtime(),
    Setting::new(
        "hooks.retry_share_ratio",
        "0.5",
        Kind::Number { min: 0.01, max: 1.0 },
        "Which share of the deliveries at once, of each application and in all, may be retries; in all, as it was at the start.",
    )
    .at_runtime(),
    Setting::new(
        "hooks.destination_concurrency",
        "256",
        Kind::Integer { min: 1, max: 65_536 },
        "How many deliveries go to one destination (scheme, host and port) at once; fewer while it is overloaded.",
    )
    .of(Tier::Endpoint),
    Setting::new(
        "hooks.retry_budget_ratio",
        "0.5",
        Kind::Number { min: 0.0, max: 1.0 },
        "How many retries may fail at a destination for each first try that is made to it.",
    ),
    Setting::new(
        "hooks.retry_budget_per_second",
        "100",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many retries may fail at a destination each second, however few first tries are made to it.",
    ),
    Setting::new(
        "hooks.tenant_backlog_max",
        "10000000",
        Kind::Integer { min: 1, max: 1_000_000_000_000 },
        "How many deliveries of one application may be pending; a message beyond that is answered 429.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::new(
        "hooks.history_days",
        "90",
        Kind::Integer { min: 1, max: 36_500 },
        "How many days messages and their attempts are kept, payloads at the most as long; what is pending stays.",
    ),
    Setting::new(
        "hooks.window_messages",
        "256",
        Kind::Integer { min: 1, max: 65_536 },
        "How many messages of one application wait in memory; the rest waits on disk.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::new(
        "hooks.window_bytes",
        "8388608",
        Kind::Integer { min: 64 << 10, max: 1 << 30 },
        "How many bytes of messages of one application wait in memory.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::optional(
        "hooks.policy_file",
        Kind::Path,
        "A TOML file of who differs from these settings, read again when it changes and on SIGHUP.",
    ),
    Setting::new(
        "hooks.window_bytes_total",
        "134217728",
        Kind::Integer { min: 1 << 20, max: 64 << 30 },
        "How many bytes of messages of all applications wait in memory.",
    )
    .of(Tier::Admission),
    Setting::new(
        "hooks.breaker_failure_ratio",
        "0.5",
        Kind::Number { min: 0.01, max: 1.0 },
        "The share of failed attempts to an endpoint at which its breaker opens.",
    )
    .of(Tier::Endpoint),
    Setting::new(
        "hooks.breaker_calls_min",
        "10",
        Kind::Integer { min: 1, max: 10_000 },
        "How many attempts the breaker must have seen in its window before it may open.",
    ),
    Setting::new(
        "hooks.breaker_window_seconds",
        "30",
        Kind::Seconds { min: 1, max: 3_600 },
        "How far back the breaker looks.",
    ),
    Setting::new(
        "hooks.breaker_open_seconds",
        "5",
        Kind::Seconds { min: 1, max: 3_600 },
        "How long a breaker stays open the first time; it doubles while probes fail.",
    ),
    Setting::new(
        "hooks.breaker_open_seconds_max",
        "300",
        Kind::Seconds { min: 1, max: 86_400 },
        "How long a breaker stays open at the most.",
    ),
    Setting::new(
        "hooks.breaker_probes",
        "1",
        Kind::Integer { min: 1, max: 1_000 },
        "How many attempts at once find out whether an endpoint with an open breaker is well again.",
    ),
    Setting::new(
        "hooks.disable_after_failing_hours",
        "120",
        Kind::Integer { min: 0, max: 24 * 365 },
        "How many hours every attempt to an endpoint may fail before it is disabled; 0 is never.",
    ),
    Setting::new(
        "hooks.replay_per_second",
        "100",
        Kind::Integer { min: 1, max: 10_000 },
        "How many deliveries a second background tasks make due again, all of them together.",
    ),
    Setting::new(
        "hooks.svix_headers",
        "true",
        Kind::Boolean,
        "Whether deliveries also carry the svix-id, svix-timestamp and svix-signature headers.",
    ),
    Setting::new(
        "hooks.payload_bytes_max",
        "1048576",
        Kind::Integer { min: 1_024, max: 16 << 20 },
        "How large the body of a request to the API may be, payload and all.",
    ),
    Setting::optional(
        "hooks.tls_ca_file",
        Kind::Path,
        "A PEM file of authorities to trust besides the public ones when delivering over TLS.",
    ),
    Setting::new(
        "hooks.idle_connection_seconds",
        "30",
        Kind::Seconds { min: 1, max: 600 },
        "How long a connection to a destination is kept while nothing is sent over it.",
    ),
];

const DAY: u64 = 86_400;

/// The settings of hooks, read and checked against one another.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The delays before the second and each further attempt.
    pub retry_schedule: Vec<Duration>,
    /// How far a retry may move, as a share of its delay.
    pub retry_jitter_ratio: f64,
    /// The whole exchange.
    pub attempt_timeout: Duration,
    /// Connecting, TLS included.
    pub connect_timeout: Duration,
    /// Bytes kept of a response.
    pub response_bytes_max: usize,
    /// Deliveries at once in all.
    pub concurrency: u64,
    /// Deliveries at once of one application.
    pub tenant_concurrency: u64,
    /// Deliveries at once to one endpoint.
    pub endpoint_concurrency: u64,
    /// Which share of the deliveries at once may be retries.
    pub retry_share_ratio: f64,
    /// Deliveries at once to one destination.
    pub destination_concurrency: usize,
    /// Retries that may fail at a destination for each first try.
    pub retry_budget_ratio: f64,
    /// And each second, however few those are.
    pub retry_budget_per_second: u64,
    /// Deliveries of one application that are pending.
    pub tenant_backlog_max: u64,
    /// Days that messages and their attempts are kept.
    pub history_days: u64,
    /// Messages of one application in memory.
    pub window_messages: usize,
    /// Bytes of one application in memory.
    pub window_bytes: u64,
    /// Bytes of all applications in memory.
    pub window_bytes_total: u64,
    /// When the breaker of an endpoint opens.
    pub breaker: Breaker,
    /// How long every attempt to an endpoint may fail before it is disabled; `None` is for ever.
    pub disable_after_failing: Option<Duration>,
    /// Deliveries a second that background tasks make due again.
    pub replay_per_second: u32,
    /// Whether the `svix-*` names are sent too.
    pub svix_headers: bool,
    /// Bytes of a request's body.
    pub payload_bytes_max: u64,
    /// Networks that may be delivered to although they are private.
    pub allow_private: Vec<IpNet>,
    /// Further authorities to trust.
    pub tls_ca_file: Option<PathBuf>,
    /// How long an idle connection is kept.
    pub idle_connection: Duration,
}

/// When the breaker of an endpoint opens, and for how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Breaker {
    /// The share of failures at which it opens.
    pub failure_ratio: f64,
    /// How many attempts it must have seen.
    pub calls_min: u64,
    /// How far back it looks.
    pub window: Duration,
    /// How long it stays open at first.
    pub open: Duration,
    /// How long it stays open at the most.
    pub open_max: Duration,
    /// Probes at once.
    pub probes: u64,
}

impl Settings {
    /// Reads them out of what is in force.
    ///
    /// # Errors
    /// When two of them contradict each other: each alone is in its range already.
    ///
    /// # Panics
    /// When [`SETTINGS`] or the host's table was not loaded.
    pub fn resolve(resolved: &Resolved) -> Result<Self, ConfigError> {
        const ORDERED: [(&str, &str); 6] = [
            ("hooks.endpoint_concurrency", "hooks.tenant_concurrency"),
            ("hooks.tenant_concurrency", "hooks.concurrency"),
            ("hooks.window_bytes", "hooks.window_bytes_total"),
            // A message that no window can hold would never be delivered.
            ("hooks.payload_bytes_max", "hooks.window_bytes"),
            ("hooks.breaker_open_seconds", "hooks.breaker_open_seconds_max"),
            ("hooks.connect_timeout_ms", "hooks.attempt_timeout_ms"),
        ];
        for (low, high) in ORDERED {
            let (at_most, got) = (resolved.integer(high), resolved.integer(low));
            if got > at_most {
                let source = &resolved.entry(low).source;
                let problem =
                    format!("{low} is {got} ({source}), allowed is at most {high}, which is {at_most}");
                return Err(ConfigError::one(problem));
            }
        }
        Ok(Self {
            retry_schedule: resolved.durations("hooks.retry_schedule_seconds"),
            retry_jitter_ratio: resolved.number("hooks.retry_jitter_ratio"),
            attempt_timeout: resolved.duration("hooks.attempt_timeout_ms"),
            connect_timeout: resolved.duration("hooks.connect_timeout_ms"),
            response_bytes_max: resolved.count("hooks.response_bytes_max"),
            concurrency: resolved.integer("hooks.concurrency"),
            tenant_concurrency: resolved.integer("hooks.tenant_concurrency"),
            endpoint_concurrency: resolved.integer("hooks.endpoint_concurrency"),
            retry_share_ratio: resolved.number("hooks.retry_share_ratio"),
            destination_concurrency: resolved.count("hooks.destination_concurrency"),
            retry_budget_ratio: resolved.number("hooks.retry_budget_ratio"),
            retry_budget_per_second: resolved.integer("hooks.retry_budget_per_second"),
            tenant_backlog_max: resolved.integer("hooks.tenant_backlog_max"),
            history_days: resolved.integer("hooks.history_days"),
            window_messages: resolved.count("hooks.window_messages"),
            window_bytes: resolved.integer("hooks.window_bytes"),
            window_bytes_total: resolved.integer("hooks.window_bytes_total"),
            breaker: Breaker {
                failure_ratio: resolved.number("hooks.breaker_failure_ratio"),
                calls_min: resolved.integer("hooks.breaker_calls_min"),
                window: resolved.duration("hooks.breaker_window_seconds"),
                open: resolved.duration("hooks.breaker_open_seconds"),
                open_max: resolved.duration("hooks.breaker_open_seconds_max"),
                probes: resolved.integer("hooks.breaker_probes"),
            },
            disable_after_failing: match resolved.integer("hooks.disable_after_failing_hours") {
                0 => None,
                hours => Some(Duration::from_secs(hours * 3_600)),
            },
            replay_per_second: u32::try_from(resolved.integer("hooks.replay_per_second")).unwrap_or(u32::MAX),
            svix_headers: resolved.boolean("hooks.svix_headers"),
            payload_bytes_max: resolved.integer("hooks.payload_bytes_max"),
            allow_private: resolved.networks("allow_private").to_vec(),
            tls_ca_file: resolved.path("hooks.tls_ca_file").map(PathBuf::from),
            idle_connection: resolved.duration("hooks.idle_connection_seconds"),
        })
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_service::config::Inputs;

    use super::*;

    fn resolve(flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let flag = |(key, value): &(&str, &str)| ((*key).into(), (*value).into(), "--set".into());
        let flags = flags.iter().map(flag).collect();
        let tables = [plimsoll_service::settings::SETTINGS, SETTINGS];
        Settings::resolve(&Resolved::load(&tables, Inputs { flags, ..Inputs::default() })?)
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let settings = resolve(&[]).unwrap();
        let schedule: Vec<u64> = settings.retry_schedule.iter().map(Duration::as_secs).collect();
        assert_eq!(schedule, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
        assert_eq!(settings.attempt_timeout, Duration::from_secs(15));
        assert_eq!((settings.window_bytes, settings.window_bytes_total), (8 << 20, 128 << 20));
        assert_eq!(settings.payload_bytes_max, 1 << 20);
        assert!(settings.svix_headers && settings.allow_private.is_empty() && settings.tls_ca_file.is_none());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let refused = resolve(&[("hooks.endpoint_concurrency", "65")]).unwrap_err().to_string();
        assert!(refused.contains("hooks.endpoint_concurrency is 65"), "{refused}");
        assert!(refused.contains("hooks.tenant_concurrency, which is 64"), "{refused}");
        assert!(resolve(&[("hooks.breaker_open_seconds", "301")]).is_err());
        assert!(resolve(&[("hooks.attempt_timeout_ms", "4999")]).is_err());
    }

    #[test]
    fn private_networks_are_those_of_the_host() {
        let settings = resolve(&[("allow_private", "127.0.0.0/8")]).unwrap();
        assert_eq!(settings.allow_private, ["127.0.0.0/8".parse().unwrap()]);
    }
}
