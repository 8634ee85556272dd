//! The long simulations: tests that run for as long as they are told to, with fresh seeds.

use std::io;
use std::process::Command;

/// The packages that have some: ignored tests whose names begin with `soak_`.
const PACKAGES: [&str; 1] = ["plimsoll-hooks"];
/// How long each of them runs, where they look it up.
const SECONDS: &str = "PLIMSOLL_SOAK_SECONDS";

/// Runs them one after the other; they print a line for each seed. `false` when one failed.
pub(crate) fn run(seconds: u64) -> io::Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for package in PACKAGES {
        println!("soak: {package}, {seconds} s for each simulation");
        let arguments =
            ["test", "--release", "-p", package, "--lib", "--", "--ignored", "--nocapture", "soak_"];
        let status = Command::new(&cargo).args(arguments).env(SECONDS, seconds.to_string()).status()?;
        if !status.success() {
            println!("soak: {package} failed; the seed stands in its last line");
            return Ok(false);
        }
    }
    Ok(true)
}
