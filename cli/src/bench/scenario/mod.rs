//! Scenarios: what sinks a webhook server, each with marks that must be passed.

mod answers;
mod fan_out;
mod neighbour;
mod outcome;
mod throttle;
mod throughput;

use std::time::Duration;

pub(super) use outcome::{Outcome, table};

use super::site::Site;

/// One scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scenario {
    OneEndpoint,
    FanOut100,
    Overload,
    FanOut10k,
    FanOut10kX5,
    NoisyNeighbour,
    BigNeighbour,
    Drip,
    GigabyteAnswer,
    RateLimit,
}

/// What a scenario is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// How long it measures; what is counted instead of timed grows with it.
    pub(super) span: Duration,
}

impl Scenario {
    /// All of them, in the order in which they are run.
    pub(super) const ALL: [Self; 10] = [
        Self::OneEndpoint,
        Self::FanOut100,
        Self::Overload,
        Self::FanOut10k,
        Self::FanOut10kX5,
        Self::NoisyNeighbour,
        Self::BigNeighbour,
        Self::Drip,
        Self::GigabyteAnswer,
        Self::RateLimit,
    ];

    /// As it is called on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OneEndpoint => "one-endpoint",
            Self::FanOut100 => "fan-out-100",
            Self::Overload => "overload",
            Self::FanOut10k => "fan-out-10k",
            Self::FanOut10kX5 => "fan-out-10k-x5",
            Self::NoisyNeighbour => "noisy-neighbour",
            Self::BigNeighbour => "big-neighbour",
            Self::Drip => "drip",
            Self::GigabyteAnswer => "gigabyte-answer",
            Self::RateLimit => "rate-limit",
        }
    }

    /// What happens in it, and what must hold.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::OneEndpoint => {
                "64 connections post to one endpoint: at least 0.35 of the ceiling accepted and delivered"
            }
            Self::FanOut100 => "events to 100 endpoints each: at least 0.6 of the ceiling delivered",
            Self::Overload => {
                "twice what can be delivered is offered: refused with Retry-After, or accepted within 500 ms \
                 (p99); nothing accepted is lost"
            }
            Self::FanOut10k => "one event to 10,000 endpoints: accepted like any other, all delivered once",
            Self::FanOut10kX5 => "five events to 10,000 endpoints at once: the same",
            Self::NoisyNeighbour => {
                "a tenant sends 200/s to an endpoint that takes 5 s: another's p50 within 1.2x, p99 within 2x of \
                 what they are without it, median of five pairs"
            }
            Self::BigNeighbour => {
                "a tenant with 10,000 endpoints that answer one byte a second, and millions of deliveries queued: \
                 the same"
            }
            Self::Drip => {
                "1 of 100 endpoints drips its body, a byte a second: a good head is a success, nothing is sent again"
            }
            Self::GigabyteAnswer => "an endpoint answers with 1 GiB: delivered once, memory flat",
            Self::RateLimit => {
                "an endpoint with a rate of 20/s is sent 200 messages at once: within 5 % of its rate"
            }
        }
    }

    /// What Svix's open-source server did.
    pub(super) const fn svix(self) -> &'static str {
        match self {
            Self::OneEndpoint => "805-854 messages/s, 1.3 % of the ceiling, p50 104 ms, 2.2 ms CPU each",
            Self::FanOut100 => "3,920-3,990 deliveries/s, 6 % of the ceiling, p50 322 ms, 0.47 ms CPU each",
            Self::Overload => {
                "60 events/s x 100: all 202, never 429 or 503; POST p50 4.6 s, delivery p50 8.2 s, RSS 829 MiB"
            }
            Self::FanOut10k => "10,000 sockets at once, RSS 40 -> 462 MiB",
            Self::FanOut10kX5 => {
                "descriptors exhausted; after 93 s 24,848 of 50,000 delivered, 39,949 duplicates, 1.2 GB"
            }
            Self::NoisyNeighbour | Self::BigNeighbour => "victim's p50 3.6 ms -> 7.9 s (noisy neighbour)",
            Self::Drip => "all 100 delivered again, twice; then the whole batch dead",
            Self::GigabyteAnswer => "RSS 42 MiB -> 1.3 GB to keep 20,000 bytes",
            Self::RateLimit => "rate of 1/s, 200 messages: all delivered in 0.34 s",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// The server or the fleet failed: nothing can be said of the marks.
    pub(super) async fn run(self, site: &mut Site, scale: Scale) -> Result<Outcome, String> {
        match self {
            Self::OneEndpoint => throughput::one_endpoint(site, scale).await,
            Self::FanOut100 => throughput::fan_out(site, scale).await,
            Self::Overload => throughput::overload(site, scale).await,
            Self::FanOut10k => fan_out::to_10_000(site, self, 1).await,
            Self::FanOut10kX5 => fan_out::to_10_000(site, self, 5).await,
            Self::NoisyNeighbour => neighbour::noisy(site, scale).await,
            Self::BigNeighbour => neighbour::big(site, scale).await,
            Self::Drip => answers::drip(site).await,
            Self::GigabyteAnswer => answers::gigabyte(site).await,
            Self::RateLimit => throttle::rate_limit(site, scale).await,
        }
    }
}

/// The scenarios, for `--list`.
pub(super) fn list() -> String {
    use std::fmt::Write as _;
    Scenario::ALL.iter().fold(String::new(), |mut text, scenario| {
        let _ = writeln!(text, "{:<18}{}", scenario.name(), scenario.what());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_listed_under_a_name_of_its_own() {
        let list = list();
        let names: std::collections::BTreeSet<&str> =
            list.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names.len(), Scenario::ALL.len());
        assert!(Scenario::ALL.into_iter().all(|scenario| names.contains(scenario.name())));
    }
}
