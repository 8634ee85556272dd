//! What can be asked for on the command line.

/// Events a second where their number is not asked for: what leaves two cores, which the senders
/// and receivers share with the server, room enough for latencies to mean something.
const EVENTS_PER_SECOND: u64 = 250;

/// Runs a real server, sends to real endpoints, kills it half-way, and proves that nothing is lost.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many events to send, spread over the seconds [default: 250 a second]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) events: Option<u64>,
    /// How many endpoints there are, of all tenants together
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) endpoints: u32,
    /// How many tenants there are [default: 5, or one for each endpoint]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) tenants: Option<u32>,
    /// Which part of the endpoints takes its time to answer
    #[arg(long, value_name = "RATIO", default_value_t = 0.1, value_parser = ratio)]
    pub(super) slow_ratio: f64,
    /// Which part of the endpoints is dead: refuses connections, answers 500, or never answers
    #[arg(long, value_name = "RATIO", default_value_t = 0.1, value_parser = ratio)]
    pub(super) dead_ratio: f64,
    /// For how many seconds to send
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) seconds: u32,
    /// Instead: a dispatcher without a bound beside this server, on the same load and memory
    #[arg(long, conflicts_with_all = ["events", "endpoints", "tenants", "slow_ratio", "dead_ratio", "seconds"])]
    pub(crate) story: bool,
    /// Print the result as one JSON object, the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// How many events to send.
    pub(super) fn events(&self) -> u64 {
        self.events.unwrap_or(EVENTS_PER_SECOND * u64::from(self.seconds))
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("not in 0..=1".to_owned()) }
}
