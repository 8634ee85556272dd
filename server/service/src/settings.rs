//! What an operator can set of the server itself.

use crate::config::{Kind, Setting, Tier};

/// The table of the server's settings: where it is, whom it admits, how it drains.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "data",
        "./plimsoll-data",
        Kind::Path,
        "The directory that keeps everything: the store, the signing secret, the admin token.",
    ),
    Setting::new(
        "store.disk_free_bytes_min",
        "268435456",
        Kind::Integer { min: 0, max: 1 << 44 },
        "How many bytes stay free on the disk for what was accepted; with less, what is new is answered 503.",
    ),
    Setting::new(
        "listen",
        "127.0.0.1:8071",
        Kind::Address,
        "Where the API listens; port 0 takes a free one.",
    ),
    Setting::new(
        "admin",
        "127.0.0.1:8072",
        Kind::Address,
        "Where /metrics, /health, /ready and /debug listen; port 0 takes a free one.",
    ),
    Setting::optional(
        "admin_token",
        Kind::Text,
        "The bearer token of /debug; when absent one is made in the file admin.token of the data directory.",
    )
    .secret(),
    Setting::optional(
        "allow_private",
        Kind::NetworkList { items_max: 64 },
        "Private networks that may be delivered to, such as 10.0.0.0/8; others are refused.",
    ),
    Setting::new(
        "log",
        "info",
        Kind::Text,
        "What is logged: error, warn, info, debug or trace, or by module: info,plimsoll_hooks=debug.",
    ),
    Setting::new(
        "drain_seconds",
        "25",
        Kind::Seconds { min: 0, max: 3_600 },
        "How long what runs may go on after SIGTERM; what is left then stays in the store.",
    ),
    Setting::new(
        "http.connections",
        "4096",
        Kind::Integer { min: 1, max: 1 << 20 },
        "How many connections the API holds at once; less where the system allows fewer descriptors.",
    )
    .of(Tier::Admission),
    Setting::new(
        "http.head_timeout_ms",
        "30000",
        Kind::Milliseconds { min: 100, max: 600_000 },
        "How long a connection may take to send the whole head of its next request, idling included.",
    ),
    Setting::new(
        "http.head_bytes_max",
        "32768",
        Kind::Integer { min: 8_192, max: 1 << 20 },
        "How large the head of a request may be.",
    ),
    Setting::new(
        "http.answer_timeout_ms",
        "120000",
        Kind::Milliseconds { min: 100, max: 3_600_000 },
        "How long a client may take to take an answer of more than 64 KiB; then its connection is cut.",
    ),
    Setting::new(
        "admission.requests",
        "1024",
        Kind::Integer { min: 1, max: 1 << 20 },
        "How many requests run at once in all; one more is answered 503.",
    )
    .of(Tier::Admission)
    .at_runtime(),
    Setting::new(
        "admission.bytes",
        "134217728",
        Kind::Integer { min: 1 << 20, max: 64 << 30 },
        "How many bytes of request bodies are in memory at once; more is answered 503.",
    )
    .of(Tier::Admission)
    .at_runtime(),
    Setting::new(
        "admission.body_timeout_ms",
        "30000",
        Kind::Milliseconds { min: 100, max: 600_000 },
        "How long the body of a request may take to arrive; longer is answered 408.",
    )
    .at_runtime(),
    Setting::new(
        "tenant.requests",
        "256",
        Kind::Integer { min: 1, max: 1 << 20 },
        "How many requests of one organisation run at once; one more is answered 429.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::optional(
        "tenant.requests_per_second",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many requests a second one organisation may make; more is answered 429.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::new(
        "tenant.burst",
        "100",
        Kind::Integer { min: 1, max: 1_000_000 },
        "How many requests an organisation may make at once before its rate is felt.",
    )
    .of(Tier::Tenant)
    .at_runtime(),
    Setting::new(
        "tenant.tenants_max",
        "100000",
        Kind::Integer { min: 1, max: 10_000_000 },
        "How many organisations are kept track of at once.",
    )
    .of(Tier::Tenant),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, Resolved};

    #[test]
    fn every_default_is_allowed_and_every_sentence_ends() {
        let resolved = Resolved::load(&[SETTINGS], Inputs::default()).unwrap();
        assert_eq!(resolved.address("listen").port(), 8071);
        assert!(SETTINGS.iter().all(|setting| setting.help.ends_with('.')));
    }

    #[test]
    fn the_servers_names_are_those_of_the_handbook() {
        let names: Vec<String> = SETTINGS.iter().map(Setting::environment).collect();
        for name in ["PLIMSOLL_DATA", "PLIMSOLL_LISTEN", "PLIMSOLL_ALLOW_PRIVATE", "PLIMSOLL_LOG"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
