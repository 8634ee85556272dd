//! What the fleet is to be: its endpoints, how each behaves, and what will arrive.

use serde::{Deserialize, Serialize};

/// The most endpoints of a fleet.
const ENDPOINTS_MAX: usize = 20_000;
/// The most events of a run.
const EVENTS_MAX: usize = 10_000_000;
/// The most (event, endpoint) pairs of a run: a bit each, 32 MiB.
const PAIRS_MAX: usize = 1 << 28;

/// How an endpoint behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Answers 200 at once.
    Healthy,
    /// Answers 200 after a delay.
    Slow {
        /// The delay.
        delay_ms: u32,
    },
    /// Answers 500 at once, always.
    Fails,
    /// Takes the request and never answers.
    Hangs,
    /// Is not there: its URL leads to a closed port.
    Refuses,
    /// Answers with a good head at once, and then with a body at one byte a second.
    DripsBody {
        /// How long the body is.
        bytes: u16,
    },
    /// Answers well, head and all, at one byte a second.
    DripsAll,
    /// Answers with a good head and a body as fast as it is taken.
    Floods {
        /// How long the body is.
        bytes: u64,
    },
}

impl Behaviour {
    /// Whether deliveries to it succeed in the end: there is a good and complete head in time.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Self::Healthy | Self::Slow { .. } | Self::DripsBody { .. } | Self::Floods { .. })
    }
}

/// One endpoint of the fleet; its number is its place in the list, and its path is `/e/{number}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EndpointPlan {
    /// The tenant it belongs to.
    pub(crate) tenant: usize,
    /// Its signing secret, `whsec_…`.
    pub(crate) secret: String,
    /// How it behaves.
    pub(crate) behaviour: Behaviour,
    /// Whether the latencies are those of this endpoint, among others.
    pub(crate) timed: bool,
    /// Whether the time of each arrival is kept.
    pub(crate) traced: bool,
}

/// The whole fleet, and the run it is for. Event `n` belongs to tenant `n % tenants`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The number that the events of this run carry; without one they are of run 0.
    pub(crate) run: u32,
    /// How many tenants there are.
    pub(crate) tenants: usize,
    /// How many events may come, of all tenants together.
    pub(crate) events: usize,
    /// The endpoints.
    pub(crate) endpoints: Vec<EndpointPlan>,
    /// One request in this many has its signature verified; of the others only the id is read.
    pub(crate) verify_every: u32,
    /// The zero of the latencies, in [`machine_micros`](super::machine_micros).
    pub(crate) started_at: u64,
    /// Latencies are kept in slices of this width by the time of sending, in microseconds.
    pub(crate) slice_micros: u64,
}

impl Plan {
    /// How many events a tenant can have: the bound of the books of its endpoints.
    pub(crate) fn events_of_tenant(&self) -> usize {
        self.events.div_ceil(self.tenants.max(1))
    }

    /// What is wrong with it, naming the number and its range.
    pub(crate) fn check(&self) -> Result<(), String> {
        let in_range = |name: &str, value: usize, max: usize| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} {value} is not in 1..={max}"))
            }
        };
        in_range("endpoints", self.endpoints.len(), ENDPOINTS_MAX)?;
        in_range("tenants", self.tenants, self.endpoints.len())?;
        in_range("events", self.events, EVENTS_MAX)?;
        in_range(
            "events x endpoints",
            self.events_of_tenant().saturating_mul(self.endpoints.len()),
            PAIRS_MAX,
        )?;
        in_range("slice_micros", usize::try_from(self.slice_micros).unwrap_or(0), 60_000_000)?;
        match self.endpoints.iter().find(|endpoint| endpoint.tenant >= self.tenants) {
            Some(endpoint) => Err(format!("tenant {} is not below {}", endpoint.tenant, self.tenants)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_out_of_range_is_refused_by_name() {
        let secret = String::new();
        let endpoint =
            EndpointPlan { tenant: 0, secret, behaviour: Behaviour::Hangs, timed: false, traced: false };
        let endpoints = vec![endpoint];
        let good = Plan {
            run: 0,
            tenants: 1,
            events: 10,
            endpoints,
            verify_every: 1,
            started_at: 0,
            slice_micros: 250_000,
        };
        assert_eq!(good.check(), Ok(()));
        let bad = Plan { events: 0, ..good.clone() };
        assert_eq!(bad.check(), Err("events 0 is not in 1..=10000000".to_owned()));
        let bad = Plan { tenants: 2, ..good.clone() };
        assert_eq!(bad.check(), Err("tenants 2 is not in 1..=1".to_owned()));
        let mut bad = good;
        bad.endpoints[0].tenant = 1;
        assert_eq!(bad.check(), Err("tenant 1 is not below 1".to_owned()));
    }

    #[test]
    fn a_behaviour_reads_as_a_word() {
        let text = serde_json::to_string(&[Behaviour::Healthy, Behaviour::Slow { delay_ms: 5 }]).unwrap();
        assert_eq!(text, r#"["healthy",{"slow":{"delay_ms":5}}]"#);
    }
}
