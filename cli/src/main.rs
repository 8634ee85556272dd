//! The one binary: composes the systems, owns no logic.

mod bench;
mod client;
mod config_command;
mod demo;
mod flags;
mod lint;
mod load;
mod naive;
mod receiver;
mod serve;
mod stage;
mod story;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of a command that was called or configured wrongly, as clap's own.
const MISUSED: u8 = 2;

/// Durable webhooks that one slow, dead or enormous customer cannot sink.
///
/// One binary, one data directory, no other service needed.
#[derive(Parser)]
#[command(name = "plimsoll", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  plimsoll demo                  watch a real server lose nothing to kill -9, in half a minute
  plimsoll demo --story          watch what it is for: 5,000 endpoints sink a dispatcher without a bound
  plimsoll bench hooks           how fast it is on this machine, beside a ceiling
  plimsoll bench jobs            how fast it takes background jobs and has them done
  plimsoll lint                  find what has no bound in the Rust code here; --help teaches
  plimsoll load URL --bound 500  does anybody's service hold 500 requests a second?
  plimsoll serve                 serve from ./plimsoll-data on 127.0.0.1:8071
  plimsoll token                 print a token for the API
  plimsoll config                show every setting, its value, and where that came from

Settings come from defaults, a TOML file, the environment and flags; the later wins. The setting
hooks.attempt_timeout_ms is PLIMSOLL_HOOKS_ATTEMPT_TIMEOUT_MS in the environment, attempt_timeout_ms
under [hooks] in the file, and --set hooks.attempt_timeout_ms=5000 as a flag.

Exit codes: 0 all went well, 1 it failed, 2 it was called or configured wrongly; load has one more.";

#[derive(Subcommand)]
enum Command {
    /// Serve the API and deliver what it accepts
    Serve(serve::Args),
    /// Print a token for the API, beside a running server or before the first start
    Token(token::Args),
    /// Print every setting that is in force, and where it came from
    Config(config_command::Args),
    /// Watch a real server deliver to real endpoints, some slow, some dead, through a kill -9
    Demo(demo::Args),
    /// Measure a server of this build on this machine, and what it loses under load: nothing
    Bench(bench::Args),
    /// Find concurrency without a bound in Rust code: yours, or anybody's
    Lint(lint::Args),
    /// Test whether the bound of any HTTP service holds: below it, in an overload, and after
    Load(Box<load::Args>),
    /// Run the dispatcher without a bound that `demo --story` runs beside the server
    #[command(hide = true)]
    Naive(naive::Args),
    /// Run the receivers of the demo and the benchmarks
    #[command(hide = true)]
    Receiver(receiver::Args),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Token(args) => token::run(args),
        Command::Config(args) => config_command::run(args),
        Command::Demo(args) if args.story => story::run(args.json),
        Command::Demo(args) => demo::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Lint(args) => lint::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Naive(args) => naive::run(args),
        Command::Receiver(args) => receiver::run(args),
    }
}

/// Tells what was wrong with the call or the configuration, a line each.
fn misused(command: &str, problem: &dyn std::fmt::Display) -> ExitCode {
    for line in problem.to_string().lines() {
        eprintln!("plimsoll {command}: {line}");
    }
    ExitCode::from(MISUSED)
}

/// Tells why it failed.
fn failed(command: &str, problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("plimsoll {command}: {problem}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_server_may_be_given_with_any_setting_beside_it() {
        let given = "plimsoll serve --data d --listen 127.0.0.1:0 --admin 127.0.0.1:0 --allow-private 10.0.0.0/8 \
                     --allow-private ::1 --set hooks.svix_headers=false --set log=warn";
        assert!(Arguments::try_parse_from(given.split_whitespace()).is_ok());
        assert!(Arguments::try_parse_from(["plimsoll", "serve", "--set", "log"]).is_err());
    }
}
