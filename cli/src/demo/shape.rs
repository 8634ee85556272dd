//! Who is there: tenants, endpoints, how each behaves and where it listens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::Args;
use crate::receiver::{Behaviour, EndpointPlan, Plan, Ready};
use crate::stage::Ports;

/// How long a slow endpoint takes to answer.
pub(super) const SLOW_MS: u32 = 250;
/// The most ports for endpoints of one behaviour; with more endpoints than that, they share.
const PORTS_MAX: usize = 64;
/// The shortest slice of time that latencies are told apart by.
const SLICE_MICROS_MIN: u64 = 100_000;

/// The whole run, before it starts.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// How many tenants.
    pub(super) tenants: usize,
    /// How many events, of all tenants together; event `n` is of tenant `n % tenants`.
    pub(super) events: usize,
    /// For how many seconds they are sent.
    pub(super) seconds: u32,
    /// Endpoint `n` is of tenant `n % tenants`.
    pub(super) behaviours: Vec<Behaviour>,
}

impl Shape {
    /// As asked for.
    ///
    /// # Errors
    /// Numbers that do not go together, naming them.
    pub(super) fn new(args: &Args) -> Result<Self, String> {
        let endpoints = args.endpoints as usize;
        let tenants = args.tenants.map_or(endpoints.min(5), |tenants| tenants as usize);
        if tenants > endpoints {
            return Err(format!("--tenants {tenants} is more than --endpoints {endpoints}"));
        }
        if args.slow_ratio + args.dead_ratio > 1.0 {
            let (slow, dead) = (args.slow_ratio, args.dead_ratio);
            return Err(format!("--slow-ratio {slow} and --dead-ratio {dead} are more than 1 together"));
        }
        let events = usize::try_from(args.events()).map_err(|error| error.to_string())?;
        let dead = (args.dead_ratio * endpoints as f64).round() as usize;
        let slow = ((args.slow_ratio * endpoints as f64).round() as usize).min(endpoints - dead);
        // Consecutive endpoints belong to consecutive tenants: each gets its share of trouble.
        let behaviours = (0..endpoints)
            .map(|number| match number {
                _ if number < slow => Behaviour::Slow { delay_ms: SLOW_MS },
                _ if number < slow + dead => {
                    [Behaviour::Fails, Behaviour::Refuses, Behaviour::Hangs][(number - slow) % 3]
                }
                _ => Behaviour::Healthy,
            })
            .collect();
        let shape = Self { tenants, events, seconds: args.seconds, behaviours };
        shape.plan(0)?.check()?;
        Ok(shape)
    }

    /// The fleet's part of it, with fresh secrets.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn plan(&self, started_at: u64) -> Result<Plan, String> {
        let random = SystemRandom::new();
        let endpoint = |(number, behaviour): (usize, &Behaviour)| {
            let mut bytes = [0; 24];
            random.fill(&mut bytes).map_err(|_| "the system has no randomness".to_owned())?;
            let secret = format!("whsec_{}", STANDARD.encode(bytes));
            let timed = *behaviour == Behaviour::Healthy;
            let tenant = number % self.tenants;
            Ok(EndpointPlan { tenant, secret, behaviour: *behaviour, timed, traced: false })
        };
        let endpoints = self.behaviours.iter().enumerate().map(endpoint).collect::<Result<_, String>>()?;
        let slice_micros = SLICE_MICROS_MIN.max(u64::from(self.seconds) * 1_000);
        let (tenants, events) = (self.tenants, self.events);
        Ok(Plan { run: 0, tenants, events, endpoints, verify_every: 1, started_at, slice_micros })
    }

    /// How many endpoints behave like that.
    pub(super) fn count(&self, like: impl Fn(Behaviour) -> bool) -> usize {
        self.behaviours.iter().filter(|behaviour| like(**behaviour)).count()
    }

    /// How many ports the fleet listens on, and how many it keeps closed.
    pub(super) fn ports(&self) -> Ports {
        let places = self.places();
        let most = |closed: bool| {
            let side = places.iter().filter(|place| place.closed == closed);
            side.map(|place| place.port + 1).max().unwrap_or(0)
        };
        Ports { open: most(false).max(1), closed: most(true), addresses: 1 }
    }

    /// The URL of each endpoint. Those of one behaviour share ports with nobody else, because a
    /// port is a destination, and what is slow there is slow for all who are on it.
    pub(super) fn urls(&self, fleet: &Ready) -> Vec<String> {
        let url = |(number, place): (usize, &Place)| {
            let ports = if place.closed { &fleet.closed } else { &fleet.open };
            format!("http://{}/e/{number}", ports[place.port])
        };
        self.places().iter().enumerate().map(url).collect()
    }

    fn places(&self) -> Vec<Place> {
        let mut places = vec![Place { closed: false, port: 0 }; self.behaviours.len()];
        let mut first = 0;
        for kind in 0..5 {
            let of_kind = || self.behaviours.iter().enumerate().filter(|(_, one)| kind_of(**one) == kind);
            let ports = of_kind().count().min(PORTS_MAX);
            let closed = kind == kind_of(Behaviour::Refuses);
            for (place, (number, _)) in of_kind().enumerate() {
                places[number] = Place { closed, port: place % ports + if closed { 0 } else { first } };
            }
            first += if closed { 0 } else { ports };
        }
        places
    }
}

#[derive(Clone, Copy)]
struct Place {
    closed: bool,
    port: usize,
}

fn kind_of(behaviour: Behaviour) -> usize {
    match behaviour {
        Behaviour::Healthy => 0,
        Behaviour::Slow { .. } => 1,
        Behaviour::Fails => 2,
        Behaviour::Hangs | Behaviour::DripsBody { .. } | Behaviour::DripsAll | Behaviour::Floods { .. } => 3,
        Behaviour::Refuses => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn shape(line: &str) -> Result<Shape, String> {
        let words = std::iter::once("demo").chain(line.split_whitespace());
        Shape::new(&Line::try_parse_from(words).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn without_options_every_tenant_has_the_same_number_of_endpoints() {
        let shape = shape("").unwrap();
        assert_eq!((shape.tenants, shape.events, shape.behaviours.len()), (5, 2_500, 40));
        assert_eq!(shape.count(|one| one == Behaviour::Healthy), 32);
        assert_eq!(shape.count(|one| one == Behaviour::Slow { delay_ms: SLOW_MS }), 4);
        assert_eq!(shape.count(|one| !one.is_alive()), 4);
        assert_eq!(shape.ports(), Ports { open: 39, closed: 1, addresses: 1 });
    }

    #[test]
    fn endpoints_of_different_behaviour_never_share_a_port() {
        let shape = shape("--endpoints 1000 --slow-ratio 0.3 --dead-ratio 0.3").unwrap();
        let Ports { open, closed, .. } = shape.ports();
        let address = |port: usize| format!("127.0.0.1:{}", 1_000 + port).parse().unwrap();
        let fleet = Ready {
            control: address(9_999),
            open: (0..open).map(address).collect(),
            closed: (0..closed).map(|port| address(5_000 + port)).collect(),
        };
        let mut owners = HashMap::new();
        for (number, url) in shape.urls(&fleet).iter().enumerate() {
            let (origin, path) = url.rsplit_once("/e/").unwrap();
            assert_eq!(path, number.to_string());
            let kind = kind_of(shape.behaviours[number]);
            assert_eq!(*owners.entry(origin.to_owned()).or_insert(kind), kind, "{url}");
        }
        assert_eq!(owners.len(), 5 * PORTS_MAX);
    }

    #[test]
    fn one_endpoint_and_all_dead_are_shapes_too() {
        assert_eq!(
            shape("--endpoints 1 --dead-ratio 0 --slow-ratio 0").unwrap().ports(),
            Ports { open: 1, closed: 0, addresses: 1 }
        );
        let dead = shape("--endpoints 3 --dead-ratio 1 --slow-ratio 0 --events 7").unwrap();
        assert_eq!((dead.tenants, dead.events, dead.count(Behaviour::is_alive)), (3, 7, 0));
    }

    #[test]
    fn numbers_that_do_not_go_together_are_refused() {
        let refused = |line: &str| shape(line).unwrap_err();
        assert_eq!(refused("--tenants 9 --endpoints 8"), "--tenants 9 is more than --endpoints 8");
        assert!(refused("--slow-ratio 0.6 --dead-ratio 0.6").contains("more than 1 together"));
        assert!(refused("--slow-ratio 1.5").contains("not in 0..=1"));
        assert!(refused("--events 10000000 --endpoints 10000 --tenants 1").contains("events x endpoints"));
    }
}
