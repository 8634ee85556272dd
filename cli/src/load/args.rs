//! What can be asked for on the command line.

use std::path::PathBuf;

/// Tests whether a service's bound holds: an open-loop load around it, and what must be true before,
/// during and after an overload. Works on any service that speaks HTTP/1.1 or 2.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["bound", "find_bound", "rate", "compare"])))]
pub(crate) struct Args {
    /// What is tested: an http or https URL, with its path and query
    #[arg(value_name = "URL", required_unless_present = "compare")]
    pub(super) url: Option<String>,

    #[command(flatten)]
    pub(super) ask: Ask,
    #[command(flatten)]
    pub(super) send: Sending,
    #[command(flatten)]
    pub(super) wire: Wire,
    #[command(flatten)]
    pub(super) watch: Watch,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What is asked of the service.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What to ask")]
pub(super) struct Ask {
    /// Run the three phases around this bound, in requests a second, and judge what must hold
    #[arg(long, value_name = "RPS")]
    pub(super) bound: Option<f64>,
    /// Find the bound: ramp in steps until it bends, and say how sure that is
    #[arg(long)]
    pub(super) find_bound: bool,
    /// With --find-bound: run the three phases around the bound that was found
    #[arg(long, requires = "find_bound", conflicts_with_all = ["bound", "rate"])]
    pub(super) then_phases: bool,
    /// Only measure, at this rate a second; see --profile and --seconds
    #[arg(long, value_name = "RPS")]
    pub(super) rate: Option<f64>,
    /// Minutes of the three phases together [default: 6.5]; each is shortened or lengthened alike, but
    /// the first takes at least 3 s, the second 2 s, and the last 5 to 30 s
    #[arg(long, value_name = "MINUTES", conflicts_with = "rate")]
    pub(super) minutes: Option<f64>,
    /// Within which 99 of 100 of those not refused must be served in an overload [default: 1000]
    #[arg(long, value_name = "MS")]
    pub(super) p99_ms: Option<f64>,
    /// How much memory it may have in an overload [default: 64 MiB more than before]
    #[arg(long, value_name = "MIB", conflicts_with = "rate")]
    pub(super) memory_mib: Option<f64>,
    /// How many times as slow the quietest tenants may get in an overload [default: 3]
    #[arg(long, value_name = "TIMES", conflicts_with = "rate")]
    pub(super) quiet_factor: Option<f64>,
    /// With --rate: what the load looks like over time
    #[arg(long, value_name = "SHAPE", default_value = "steady", value_enum, requires = "rate", conflicts_with_all = ["bound", "find_bound"])]
    pub(super) profile: Profile,
    /// With --rate: for how long [default: 30; a soak: 3600]
    #[arg(long, value_name = "SECONDS", requires = "rate", conflicts_with_all = ["bound", "find_bound"])]
    pub(super) seconds: Option<f64>,
    /// With a ramp or steps: the rate at their end [default: twice --rate]; with --find-bound: the
    /// highest that is tried [default: 100000]
    #[arg(long, value_name = "RPS", conflicts_with = "bound")]
    pub(super) to: Option<f64>,
    /// With --find-bound: the rate of the first step
    #[arg(long, value_name = "RPS", default_value_t = 50.0, requires = "find_bound", conflicts_with_all = ["bound", "rate"])]
    pub(super) from: f64,
    /// With --find-bound: how long each step takes
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, requires = "find_bound", conflicts_with_all = ["bound", "rate"])]
    pub(super) step_seconds: f64,
    /// How requests are spread: as independent callers come, or evenly
    #[arg(long, value_name = "HOW", default_value = "poisson", value_enum)]
    pub(super) arrivals: Arrivals,
}

/// The shapes of a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Profile {
    /// --rate all the time
    Steady,
    /// From --rate to --to, evenly
    Ramp,
    /// From --rate to --to in 10 steps
    Step,
    /// --rate, and ten times that in the middle tenth of the time
    Spike,
    /// --rate for an hour
    Soak,
    /// All requests of each second at its beginning, at the same instant; as many as chance has it
    /// with --arrivals poisson, --rate of them with constant
    Burst,
}

/// How requests are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Arrivals {
    Poisson,
    Constant,
}

/// What is sent.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What to send")]
pub(super) struct Sending {
    /// The method [default: GET; POST with --body]
    #[arg(short = 'X', long, value_name = "METHOD", conflicts_with = "requests")]
    pub(super) method: Option<String>,
    /// A header; may be given many times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// The body, or @FILE for what is in a file
    #[arg(short = 'd', long, value_name = "TEXT", conflicts_with = "requests")]
    pub(super) body: Option<String>,
    /// Requests with weights, from a TOML or JSON file
    #[arg(long, value_name = "FILE")]
    pub(super) requests: Option<PathBuf>,
    /// Rows that fill in {{column}} in paths, headers and bodies: CSV, or JSON lines
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
    /// For whom it is sent, by weight, such as loud=99,quiet=1; the service is told by --tenant-header,
    /// or by {{tenant}} in requests
    #[arg(long, value_name = "NAME=WEIGHT,…", value_delimiter = ',')]
    pub(super) tenants: Vec<String>,
    /// The header that tells the tenant
    #[arg(long, value_name = "NAME", requires = "tenants")]
    pub(super) tenant_header: Option<String>,
    /// The share of connections whose clients send a hundred bytes a second
    #[arg(long, value_name = "SHARE")]
    pub(super) slow_clients: Option<f64>,
}

/// How it is sent.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "How to send it")]
pub(super) struct Wire {
    /// The most connections at once; when more are needed, that is said and not held against the service
    #[arg(long, value_name = "COUNT", default_value_t = 1_024)]
    pub(super) connections: u32,
    /// Which version of HTTP is spoken
    #[arg(long, value_name = "VERSION", default_value = "auto", value_enum)]
    pub(super) http: Http,
    /// How long from when a request is due to the last byte of its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub(super) timeout: f64,
    /// Believe any certificate: for a test system with one of its own making
    #[arg(long)]
    pub(super) insecure: bool,
    /// Threads that send [default: one by 20,000 requests a second]
    #[arg(long, value_name = "COUNT")]
    pub(super) threads: Option<usize>,
    /// Measure first, for two seconds, how much the generator itself could send
    #[arg(long)]
    pub(super) self_check: bool,
    /// Where chance begins: the same seed makes the same arrivals
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
}

/// Versions of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Http {
    /// What the server chooses under TLS, else 1.1
    Auto,
    /// HTTP/1.1
    #[value(name = "1")]
    One,
    /// HTTP/2
    #[value(name = "2")]
    Two,
}

/// What is read of the service beside the load.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What to read of it")]
pub(super) struct Watch {
    /// Its Prometheus page: memory, descriptors, tasks, queues, since when it runs
    #[arg(long, value_name = "URL", conflicts_with = "pid")]
    pub(super) metrics: Option<String>,
    /// Its process on this machine: memory, descriptors, since when it runs
    #[arg(long, value_name = "ID")]
    pub(super) pid: Option<u32>,
}

/// What is left of it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What to write")]
pub(super) struct Output {
    /// Write a page with plots, one HTML file that stands alone
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Print the run as one JSON object on standard output, and progress on standard error
    #[arg(long)]
    pub(super) json: bool,
    /// Compare two runs that --json wrote: by how much they differ, and whether that is noise
    #[arg(long, value_name = "FILE", num_args = 2, conflicts_with_all = ["url", "report"])]
    pub(super) compare: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
The three phases of --bound, in full 6.5 minutes:
  0.7x below     5 min at 0.7 times the bound: more than 99.9 % must succeed
  2x overload    1 min at twice the bound: some must be refused with 429 or 503, each refusal with
                 Retry-After; 99 of 100 of the rest are served within --p99-ms; at most 0.1 % are lost;
                 0.7 times the bound still succeeds; it does not crash; its memory stays within
                 --memory-mib; the quietest tenants are not hurt
  0.5x recovery  30 s at half the bound: the p99 is back to about that of the first phase, and nearly
                 everything succeeds; and then no memory, descriptors or tasks are left over
--minutes 0.65 makes them 30 s, 6 s and 5 s: good for a first look and for CI.

Latencies count from when a request was due, not from when it could be sent: a service that stalls is
not spared the requests that would have come in the meantime (coordinated omission).

Examples:
  plimsoll load http://127.0.0.1:8080/ --bound 500 --minutes 0.65 --pid $(pgrep my-service)
                                     does it hold 500 a second? In 40 seconds
  plimsoll load http://127.0.0.1:8080/ --find-bound --then-phases --report load.html
                                     how much does it take, and does that hold?
  plimsoll load http://127.0.0.1:8080/ --rate 200 --profile spike --seconds 60 --json > a.json
                                     only measure
  plimsoll load --compare a.json b.json
                                     is the second slower, or is that noise?
  plimsoll load http://127.0.0.1:8080/orders -d '{\"n\":1}' -H 'content-type: application/json' \\
      --tenants loud=99,quiet=1 --tenant-header x-tenant --bound 500
                                     is the quiet one hurt when the loud one overloads it?

Exit codes: 0 it holds, or was measured; 1 it does not hold, and the generator cannot have caused
that; 2 it was called wrongly; 3 it cannot be said: nobody answers, the generator was the limit, it was
stopped, too little was sent, or no bound was found.";
