//! What can be asked for on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::scenario::Scenario;

/// Instead of the name of a scenario.
const ALL: &str = "all";

/// Measures a server of this build on this machine.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) system: System,
}

/// What is measured.
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum System {
    /// Webhooks: throughput against a ceiling, latencies, cost, memory
    Hooks(Hooks),
    /// Background jobs: accepted and finished a second, latencies, cost, memory
    Jobs(Jobs),
}

/// Starts a server, receivers and senders on this machine, and measures how fast messages get from
/// one to the other, beside what the same senders and receivers do with no server in between.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Hooks {
    /// Run a scenario instead: what sinks a webhook server, with marks that must be passed
    #[arg(long, value_name = "NAME", value_parser = Choice::parser())]
    pub(super) scenario: Option<Choice>,
    /// List the scenarios, and what must hold in each
    #[arg(long, exclusive = true)]
    pub(super) list: bool,
    /// How long each pass measures, in seconds, after a while of warming up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(super) seconds: u32,
    /// How many rounds of passes there are; the figures are their medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=15))]
    pub(super) rounds: u32,
    /// Give the server this setting; may be repeated. Without one it has its defaults
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
    /// Print the result as one JSON object on standard output, and the table on standard error
    #[arg(long)]
    pub(super) json: bool,
}

/// Starts a server, submitters and workers on this machine, and measures how fast jobs are accepted,
/// claimed and finished, over the same HTTP interface as anybody's.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES_OF_JOBS)]
pub(super) struct Jobs {
    /// For how long each pass submits jobs, in seconds; it ends when all are done
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(super) seconds: u32,
    /// How many passes there are at full load; the figures are their medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=15))]
    pub(super) rounds: u32,
    /// Give the server this setting; may be repeated. Without one it has its defaults
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
    /// Print the result as one JSON object on standard output, and the table on standard error
    #[arg(long)]
    pub(super) json: bool,
}

/// Which scenarios are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Choice(Option<Scenario>);

impl Choice {
    /// In the order in which they are run.
    pub(super) fn scenarios(&self) -> &[Scenario] {
        self.0.as_ref().map_or(&Scenario::ALL, std::slice::from_ref)
    }

    /// The name of one of them, or `all`.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let names = Scenario::ALL.into_iter().map(Scenario::name).chain([ALL]);
        PossibleValuesParser::new(names)
            .map(|name| Self(Scenario::ALL.into_iter().find(|scenario| scenario.name() == name)))
    }
}

const EXAMPLES: &str = "\
What is measured, in rounds, each pass between two passes of the ceiling:
  ceiling        the server's own client posts a signed delivery straight to the receiver, over and over
  one endpoint   64 connections post messages to one endpoint, as fast as they are answered: the lower
                 of messages accepted a second and of messages delivered a second, until all are there
  fan-out        messages to 100 endpoints, each a destination of its own, as many as keep the server
                 busy: deliveries a second
  half load      half of what one endpoint did, by a clock: how long until a message is accepted, and
                 until it is at the receiver, both from the moment when it was due
cpu_us_per_delivery is the processor time of the whole server process, user and system, during the
fan-out passes, and bytes_written_per_delivery what it wrote to the disk in them, by their deliveries.

The receiver counts each event at each endpoint, and verifies one signature in 64. Nothing accepted may
be missing at the end.

A scenario sets up a house of its own, does to the server what sinks others, and says of each of its
marks whether it was passed. Each has marks that nothing accepted is lost, that memory stays flat (64 MiB
on top of what the server has at rest), and that sockets do (what the bounds allow, and no more).

Examples:
  plimsoll bench hooks
  plimsoll bench hooks --list
  plimsoll bench hooks --scenario noisy-neighbour
  plimsoll bench hooks --scenario all --json | jq .passed
  plimsoll bench hooks --seconds 20 --json
  plimsoll bench hooks --set hooks.endpoint_concurrency=64     try a setting

The server, the senders and the receiver share this machine: only ratios, and runs beside each other,
mean anything. Exit codes: 0 nothing was lost, and every mark of a scenario passed; 1 not so, or it
failed; 2 it was called wrongly.";

const EXAMPLES_OF_JOBS: &str = "\
What is measured:
  full load      64 connections submit jobs of 8 tenants, about 300 bytes each, as fast as they are
                 answered, while 64 workers wait for up to 8 jobs at once and ack each as soon as they
                 have it: jobs accepted a second while they are sent, and jobs finished a second from the
                 first that is sent until the last is done
  half load      half of the lower of both, by a clock: how long from the moment when a job was due until
                 it is accepted, and from then until a worker has it. The second counts from the 202, so
                 it is 0 for a job that a worker has before its submitter has read the answer
cpu_us_per_job is the processor time of the whole server process, user and system, at full load, and
bytes_written_per_job what it wrote to the disk, by the jobs finished: each from before it was accepted
until it was done.

The workers do nothing with a job: it is the server that is measured. Each connection is kept alive, each
worker has one to wait on and one to ack on. The book is kept by the workers, over all passes: an accepted
job that no worker has done at the end is lost, one that was given to a worker again was run twice. As
nobody crashes here there must be none of either.

Examples:
  plimsoll bench jobs
  plimsoll bench jobs --rounds 5 --json | jq .finished_per_second
  plimsoll bench jobs --seconds 20
  plimsoll bench jobs --set jobs.tenant_concurrency=8          try a setting

The server, the submitters and the workers share this machine: only runs beside each other mean anything.
Exit codes: 0 every accepted job was done once; 1 not so, or it failed; 2 it was called wrongly.";
