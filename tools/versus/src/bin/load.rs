//! What a request costs the load generator, beside oha and wrk.
//!
//! All of them send to the same trivial server, in turns; what counts is the processor time of the
//! tool's whole process, start and end included, by the requests that the server answered. `paced` is
//! an open loop of a rate, which wrk does not have; `flat out` is as fast as one thread can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use plimsoll_load::check::{SelfCheck, Server};
use plimsoll_load::mix::{Mix, Request};
use plimsoll_load::profile::Profile;
use plimsoll_load::run::Snapshot;
use plimsoll_load::{Connections, Plan, Target};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  apt-get install wrk; cargo install oha
  cargo run --release -p versus --bin load
  cargo run --release -p versus --bin load -- --oha ~/.cargo/bin/oha --rounds 5

A tool that is not there is left out. Ratios are ours divided by theirs; only they mean something on
another machine.";

/// Processor time of a request: ours beside oha's and wrk's, in turns, against the same server.
#[derive(Clone, Parser)]
#[command(bin_name = "cargo run --release -p versus --bin load --", after_help = EXAMPLES)]
struct Cli {
    /// Where oha is
    #[arg(long, value_name = "PATH", default_value = "oha")]
    oha: PathBuf,
    /// Where wrk is
    #[arg(long, value_name = "PATH", default_value = "wrk")]
    wrk: PathBuf,
    /// How long each turn is, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// How many turns each has
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Requests a second of the open loop
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=200_000))]
    rate: u64,
    /// Connections of each
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// Sends to this URL and prints what came of it: what the turns of ours do
    #[arg(long, value_name = "URL", hide = true)]
    ours: Option<String>,
}

/// A turn of one tool: requests a second, and microseconds of processor time for each.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    cpu_micros: f64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cfg!(debug_assertions) {
        eprintln!("versus: a debug build measures nothing: add --release");
    }
    let done = match &cli.ours {
        Some(url) => ours(&cli, url),
        None => compare(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("versus: {why}");
            ExitCode::FAILURE
        }
    }
}

/// One turn of ours, in a process of its own, as the others have.
fn ours(cli: &Cli, url: &str) -> Result<(), String> {
    let text = |error: plimsoll_load::Error| error.to_string();
    let length = Duration::from_secs(cli.seconds);
    let profile = Profile::steady(cli.rate as f64, length).map_err(text)?;
    let mix = Mix::new(vec![Request::get("")]).map_err(text)?;
    let mut plan = Plan::new(Target::new(url).map_err(text)?, profile, mix);
    plan.workers = Some(1);
    plan.connections = Connections { open: cli.connections, max: cli.connections };
    // Flat out there is always somebody waiting, and more is not made.
    plan.line_max = 1_000;
    let (observer, _kept) = watch::channel(Snapshot::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let done =
        runtime.block_on(plimsoll_load::run(&plan, &CancellationToken::new(), &observer)).map_err(text)?;
    let check = SelfCheck::of(&done, cli.rate as f64, None);
    let total = done.total();
    let sent: u64 = done.seconds.iter().map(|second| second.sent).sum();
    let seconds = done.took.as_secs_f64();
    println!(
        "    due {}, sent {sent} in {seconds:.3} s: {:.2} % of {}/s; p99 late {} us, timers {} us; latency p50 {} us, p99 {} us; busiest {:.0} %",
        done.due(),
        sent as f64 / seconds / cli.rate as f64 * 100.0,
        cli.rate,
        check.lateness.p99_micros,
        check.lag.p99_micros,
        total.latency.value_at_quantile(0.5),
        total.latency.value_at_quantile(0.99),
        check.busiest_ratio * 100.0,
    );
    Ok(())
}

fn compare(cli: &Cli) -> Result<(), String> {
    let server = Server::start().map_err(|error| error.to_string())?;
    let url = format!("http://{}/", server.address());
    let (oha, wrk) = (version(&cli.oha, "oha"), version(&cli.wrk, "wrk"));
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let length = format!("{}s", cli.seconds);
    let connections = cli.connections.to_string();
    let ours = |rate: u64| {
        let mut command = Command::new(&own);
        command.args(["--ours", &url, "--rate", &rate.to_string(), "--seconds", &cli.seconds.to_string()]);
        command.args(["--connections", &connections]);
        command
    };
    let oha_at = |rate: Option<u64>| {
        let mut command = Command::new(&cli.oha);
        command.args(["-z", &length, "-c", &connections, "--no-tui", "--latency-correction", "-w"]);
        if let Some(rate) = rate {
            command.args(["-q", &rate.to_string()]);
        }
        command.arg(&url).stdout(Stdio::null());
        command
    };
    let wrk_flat = || {
        let mut command = Command::new(&cli.wrk);
        command.args(["-t", "1", "-c", &connections, "-d", &length, &url]).stdout(Stdio::null());
        command
    };
    let mut rows = [const { Vec::new() }; 5];
    for _ in 0..cli.rounds {
        rows[0].push(turn(&server, &mut ours(cli.rate))?);
        if oha.is_some() {
            rows[1].push(turn(&server, &mut oha_at(Some(cli.rate)))?);
            rows[3].push(turn(&server, &mut oha_at(None))?);
        }
        if wrk.is_some() {
            rows[4].push(turn(&server, &mut wrk_flat())?);
        }
        // More than there is to be had, but not so much more that to count what is not sent costs
        // something.
        let fastest = rows.iter().flatten().map(|turn| turn.per_second).fold(cli.rate as f64, f64::max);
        rows[2].push(turn(&server, &mut ours((fastest * 1.2).min(200_000.0) as u64))?);
    }
    let [paced, oha_paced, flat, oha_flat, wrk_flat] = rows.map(middle);
    let paced_name = format!("paced {}/s", cli.rate);
    println!("{:<16}{:<36}{:>12}{:>12}{:>8}", "", "", "requests/s", "cpu us", "ratio");
    print_row(&paced_name, "plimsoll load", paced, paced);
    print_row(&paced_name, oha.as_deref().unwrap_or("oha: not there"), oha_paced, paced);
    print_row("flat out", "plimsoll load", flat, flat);
    print_row("flat out", oha.as_deref().unwrap_or("oha: not there"), oha_flat, flat);
    print_row("flat out", wrk.as_deref().unwrap_or("wrk: not there"), wrk_flat, flat);
    Ok(())
}

fn print_row(what: &str, who: &str, turn: Option<Turn>, ours: Option<Turn>) {
    let numbers = turn.zip(ours).map_or(String::new(), |(turn, ours)| {
        format!(
            "{:>12.0}{:>12.2}{:>8.2}",
            turn.per_second,
            turn.cpu_micros,
            ours.cpu_micros / turn.cpu_micros
        )
    });
    println!("{what:<16}{who:<36}{numbers}");
}

/// The turn whose price is in the middle.
fn middle(mut turns: Vec<Turn>) -> Option<Turn> {
    turns.sort_by(|a, b| a.cpu_micros.total_cmp(&b.cpu_micros));
    turns.get(turns.len() / 2).copied()
}

fn turn(server: &Server, command: &mut Command) -> Result<Turn, String> {
    let (answered, cpu) = (server.answered(), children_cpu()?);
    let began = plimsoll::clock::now();
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{command:?}: {status}"));
    }
    let seconds = (plimsoll::clock::now() - began).as_secs_f64();
    let requests = (server.answered() - answered) as f64;
    if requests == 0.0 {
        return Err(format!("{command:?}: sent nothing"));
    }
    let cpu = children_cpu()? - cpu;
    Ok(Turn { per_second: requests / seconds, cpu_micros: cpu * 1e6 / requests })
}

/// Processor time, in seconds, of all children that have ended, as `/proc/self/stat` counts it.
fn children_cpu() -> Result<f64, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|error| format!("/proc/self/stat: {error}"))?;
    // Behind the command, which may hold anything: fields 16 and 17 of proc(5), in ticks.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: Option<u64> =
        after.split_whitespace().skip(13).take(2).map(|field| field.parse::<u64>().ok()).sum();
    let ticks = ticks.ok_or("/proc/self/stat is not of its form")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The first line that a tool says of its version, where it is there.
fn version(path: &Path, name: &str) -> Option<String> {
    // wrk says its version and exits with an error.
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    Some(if words.first() == Some(&name) { words.join(" ") } else { name.to_owned() })
}
