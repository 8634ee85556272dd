//! The chores of this repository: `cargo xtask test` checks all that CI checks.

mod border;
mod command;
mod counts;
mod footguns;
mod imports;
mod licences;
mod modules;
mod python;
mod report;
mod soak;
mod steps;
mod surface;
mod table;
mod workspace;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  cargo xtask test                      everything, stops at the first step that fails
  cargo xtask test --keep-going         everything, tells all that fails
  cargo xtask test --only border        one step, with the steps it needs
  cargo xtask test --only clippy,tests
  cargo xtask list                      the steps, and the command behind each
  cargo xtask soak --seconds 3600       the long simulations, an hour each

What a step printed is kept in target/xtask/STEP.log. Where CI=true is set, as CI services do,
no step may be skipped and every step is run even when one failed.";

/// The chores of this repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check all that CI checks: format, lints, tests, docs, borders, the end-to-end tests
    #[command(after_help = EXAMPLES)]
    Test(Test),
    /// List the steps of `test`
    List,
    /// Run the long simulations with fresh seeds, for as long as said
    Soak(Soak),
    /// Write the public surface of lib/* into lib/NAME/surface.txt, for a change that is meant
    Surface,
}

#[derive(Args)]
struct Test {
    /// Run only these steps, and what they need; `cargo xtask list` names them
    #[arg(long, value_name = "STEP", value_delimiter = ',', value_parser = steps::names())]
    only: Vec<String>,
    /// Go on with the other steps when one failed [always in CI]
    #[arg(long)]
    keep_going: bool,
    /// Count a step that had to be skipped as failed [always in CI]
    #[arg(long)]
    no_skip: bool,
}

#[derive(Args)]
struct Soak {
    /// How long each of them runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

fn main() -> ExitCode {
    match Cli::parse().chore {
        Chore::List => {
            steps::list();
            ExitCode::SUCCESS
        }
        Chore::Soak(Soak { seconds }) => match soak::run(seconds) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("xtask: {error}");
                ExitCode::FAILURE
            }
        },
        Chore::Surface => match steps::write_surface() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("xtask: {error}");
                ExitCode::FAILURE
            }
        },
        Chore::Test(Test { only, keep_going, no_skip }) => {
            let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
            let plan = steps::Plan { only, keep_going: keep_going || ci, no_skip: no_skip || ci };
            match steps::run(&plan) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    eprintln!("xtask: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
