//! Everything that a run needs to know.

use std::time::Duration;

use crate::Error;
use crate::mix::{Draft, Mix, Tenants};
use crate::profile::Profile;
use crate::target::{Protocol, Target};

/// How long there may be between the intended send and the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The range of the deadline.
const DEADLINES: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);
/// The most connections.
const CONNECTIONS_MAX: u32 = 65_536;
/// The most requests that may wait for a connection.
const LINE_MAX: usize = 1_000_000;
/// The most threads.
const WORKERS_MAX: usize = 64;
/// The most requests at a time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 1_000;
/// So many requests a second a worker sends with ease.
const RATE_OF_A_WORKER: f64 = 20_000.0;

/// How many connections there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Connections {
    /// Opened before the first request is due, and opened again when they are lost.
    pub open: u32,
    /// As many as there may be when the target is slow; what is due beyond them waits in line.
    pub max: u32,
}

/// What slow clients are slow at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowAt {
    /// At sending their requests.
    Sending,
    /// At reading the answers.
    Reading,
}

/// Clients that hold connections with little: each sends one request after the other, slowly,
/// besides the schedule, and what becomes of them is counted apart.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Slow {
    /// Which share of [`Connections::max`] they are: more than 0, less than 1.
    pub share: f64,
    /// Bytes a second: 1 to 1,000,000.
    pub bytes_per_second: u32,
    /// At what.
    pub at: SlowAt,
}

/// A load test: what is sent where, when, and by how much at the most.
///
/// All fields are open; [`check`](Self::check), which [`run`](crate::run()) calls, says what is wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// What is tested.
    pub target: Target,
    /// How many requests are due when.
    pub profile: Profile,
    /// What is sent.
    pub mix: Mix,
    /// For whom.
    pub tenants: Option<Tenants>,
    /// Which version of HTTP is spoken.
    pub protocol: Protocol,
    /// How many connections there are (16 at first, 1,024 at most).
    pub connections: Connections,
    /// How many requests may be on a connection of HTTP/2 at a time (100); fewer where the server
    /// says so.
    pub streams_max: u32,
    /// How many requests may wait for a connection (10,000); what is more is not sent, and counted.
    pub line_max: usize,
    /// How long there may be between the intended send and the last byte of the answer (10 s).
    pub deadline: Duration,
    /// The most bytes of a body that are read (16 MiB); an answer of more counts as malformed.
    pub body_bytes_max: u64,
    /// Threads that send, each with a share of the arrivals and of the connections; `None` for one by
    /// 20,000 requests a second, as far as there are processors.
    pub workers: Option<usize>,
    /// Where chance begins: the same seed makes the same arrivals and requests.
    pub seed: u64,
    /// Clients that are slow on purpose.
    pub slow: Option<Slow>,
}

impl Plan {
    /// A plan with the defaults.
    #[must_use]
    pub fn new(target: Target, profile: Profile, mix: Mix) -> Self {
        Self {
            target,
            profile,
            mix,
            tenants: None,
            protocol: Protocol::default(),
            connections: Connections { open: 16, max: 1_024 },
            streams_max: 100,
            line_max: 10_000,
            deadline: DEADLINE,
            body_bytes_max: 16 * 1024 * 1024,
            workers: None,
            seed: 1,
            slow: None,
        }
    }

    /// What is wrong with it, as far as can be told without the target.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<(), Error> {
        let Connections { open, max } = self.connections;
        if !(1..=CONNECTIONS_MAX).contains(&max) {
            return Err(Error::invalid("connections", max, "1 to 65,536"));
        }
        if open > max {
            return Err(Error::invalid(
                "connections opened first",
                open,
                format!("0 to {max}, the most there may be"),
            ));
        }
        if self.line_max > LINE_MAX {
            return Err(Error::invalid("line", self.line_max, "0 to 1,000,000 waiting requests"));
        }
        if !DEADLINES.contains(&self.deadline) {
            return Err(Error::invalid("deadline", format!("{:?}", self.deadline), "1 ms to 10 min"));
        }
        if !(1..=STREAMS_MAX).contains(&self.streams_max) {
            return Err(Error::invalid("streams", self.streams_max, "1 to 1,000"));
        }
        if let Some(workers) = self.workers
            && !(1..=WORKERS_MAX.min(max as usize)).contains(&workers)
        {
            return Err(Error::invalid("workers", workers, "1 to 64, and no more than connections"));
        }
        if let Some(slow) = &self.slow {
            self.check_slow(slow)?;
        }
        let drafts = self.mix.drafts(self.target.path(), self.tenants.as_ref())?;
        if self.mix.data.is_some() && !drafts.iter().any(Draft::takes_data) {
            let allowed = "rows of which a request takes a column: {{column}} in a path, a header or a body";
            return Err(Error::invalid("data", "taken by no request", allowed));
        }
        if self.tenants.is_some() && !drafts.iter().any(Draft::tells_tenant) {
            let allowed = "told to the target: with --tenant-header NAME, or {{tenant}} in requests";
            return Err(Error::invalid("tenants", "told to nobody", allowed));
        }
        Ok(())
    }

    /// Whether each request says for which tenant it is.
    pub(crate) fn tells_tenants(&self) -> bool {
        let drafts = self.mix.drafts(self.target.path(), self.tenants.as_ref());
        drafts.is_ok_and(|drafts| drafts.iter().all(Draft::tells_tenant))
    }

    fn check_slow(&self, slow: &Slow) -> Result<(), Error> {
        if !(slow.share > 0.0 && slow.share < 1.0) {
            return Err(Error::invalid("share of slow clients", slow.share, "more than 0, less than 1"));
        }
        if self.slow_clients() + self.workers() as u32 > self.connections.max {
            let allowed = "a share that leaves each worker one connection of the schedule's";
            return Err(Error::invalid("share of slow clients", slow.share, allowed));
        }
        if !(1..=1_000_000).contains(&slow.bytes_per_second) {
            return Err(Error::invalid(
                "bytes a second of slow clients",
                slow.bytes_per_second,
                "1 to 1,000,000",
            ));
        }
        if self.protocol == Protocol::Http2 {
            return Err(Error::invalid("protocol of slow clients", "HTTP/2", "HTTP/1.1"));
        }
        Ok(())
    }

    /// How many clients are slow.
    pub(crate) fn slow_clients(&self) -> u32 {
        let share = |slow: &Slow| (f64::from(self.connections.max) * slow.share).ceil() as u32;
        self.slow.as_ref().map_or(0, share)
    }

    /// How many threads send.
    #[must_use]
    pub fn workers(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let needed = (self.profile.rate_max() / RATE_OF_A_WORKER).ceil() as usize;
        let most = processors.min(WORKERS_MAX).min(self.connections.max as usize);
        self.workers.unwrap_or_else(|| needed.clamp(1, most.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::{Data, Order, Request, Tenant};

    fn plan(url: &str) -> Plan {
        let mix = Mix::new(vec![Request::get("")]).unwrap();
        Plan::new(Target::new(url).unwrap(), Profile::steady(1.0, Duration::from_secs(1)).unwrap(), mix)
    }

    #[test]
    fn data_of_which_no_request_takes_a_column_is_refused() {
        let data = || Data::from_csv("id\n7\n", Order::default()).unwrap();
        let mut plan_of = plan("http://h/items/{{id}}");
        plan_of.mix = plan_of.mix.with_data(data());
        plan_of.check().unwrap();
        let mut unused = plan("http://h/items");
        unused.mix = unused.mix.with_data(data());
        assert!(unused.check().unwrap_err().to_string().starts_with("data is taken by no request"));
    }

    #[test]
    fn tenants_of_whom_the_target_is_not_told_are_refused() {
        let tenant = |name: &str, weight| Tenant { name: name.into(), weight };
        let list = || vec![tenant("loud", 99.0), tenant("quiet", 1.0)];
        let mut silent = plan("http://h/");
        silent.tenants = Some(Tenants::new(list(), None).unwrap());
        assert!(silent.check().unwrap_err().to_string().contains("--tenant-header"));
        silent.tenants = Some(Tenants::new(list(), Some("x-tenant")).unwrap());
        silent.check().unwrap();
        let mut by_path = plan("http://h/of/{{tenant}}");
        by_path.tenants = Some(Tenants::new(list(), None).unwrap());
        by_path.check().unwrap();
        assert!(by_path.tells_tenants());
    }
}
