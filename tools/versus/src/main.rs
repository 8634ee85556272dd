//! Plimsoll against its peers, side by side in one process.
//!
//! Ours and the peer's run in turns of a few milliseconds, so that whatever else the machine does
//! hits both; what counts is the processor time of the whole process per operation, in a turn that
//! few of the others beat. Only the ratio means something on another machine.

mod adaptive;
mod breaker;
mod budget;
mod cpu;
mod downstream;
mod fair;
mod group;
mod hedge;
mod keyed;
mod map;
mod measure;
mod merge;
mod pair;
mod pipeline;
mod pool;
mod rate;
mod report;
mod retry;
mod runtime;
mod semaphore;
mod shed;
mod singleflight;
mod spacing;
mod versions;
mod webhooks;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::pair::Pair;
use crate::report::Row;

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p versus
  cargo run --release -p versus -- --only semaphore --seconds 20
  cargo run --release -p versus -- --json --gate > versus.jsonl

Columns: processor time per operation in nanoseconds, a low pass of many; ratio is ours divided
by the peer's, goal the most it may be. A row is gated when the peer is cancel-safe, as ours is: being
faster by losing messages does not count.";

/// Benchmarks of Plimsoll against its peers, side by side in one run.
#[derive(Parser)]
#[command(bin_name = "cargo run --release -p versus --", after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON object a line instead of the table
    #[arg(long)]
    json: bool,
    /// Only operations whose name contains this
    #[arg(long, value_name = "OP")]
    only: Option<String>,
    /// How long all of it may take, in seconds
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Exit with 1 when a gated row is over its goal
    #[arg(long)]
    gate: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cfg!(debug_assertions) {
        eprintln!("versus: a debug build measures nothing: add --release");
    }
    let wanted = |pair: &&Pair| cli.only.as_ref().is_none_or(|only| pair.op.contains(only.as_str()));
    let pairs: Vec<&Pair> = pair::all().filter(wanted).collect();
    if pairs.is_empty() {
        let names: Vec<&str> = pair::all().map(|pair| pair.op).collect();
        eprintln!("versus: no operation is called like that; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let each = Duration::from_secs(cli.seconds) / u32::try_from(pairs.len()).unwrap_or(u32::MAX);
    if !cli.json {
        println!("{}", report::HEAD);
    }
    let mut over = 0;
    for pair in pairs {
        let (ours, theirs) = measure::compare(&mut (pair.ours)(), &mut (pair.theirs)(), each);
        let row = Row::new(pair, ours, theirs);
        over += u32::from(row.is_over());
        println!("{}", if cli.json { row.json() } else { row.text() });
    }
    if cli.gate && over > 0 {
        eprintln!("versus: {over} gated rows are over their goal");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
