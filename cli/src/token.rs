//! `plimsoll token`: a token for the API.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use plimsoll_service::auth::{DEFAULT_ORG, Keys, SECRET_FILE};

use crate::flags;
use crate::{failed, misused};

/// Works beside a running server: both read the signing secret of the data directory.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    common: flags::Common,
    /// The organisation that the token is for: org_ and 1 to 60 letters, digits, _ and -
    #[arg(long, default_value = DEFAULT_ORG)]
    org: String,
}

const EXAMPLES: &str = "\
Examples:
  plimsoll token                             for the default organisation
  plimsoll token --org org_acme              for another, which sees nothing of the first
  TOKEN=$(plimsoll token --data /var/lib/plimsoll)

The token is the last line of standard output. It is valid for ten years; a new secret in the file
jwt.secret of the data directory ends all tokens of the old one.";

/// Runs `plimsoll token`.
pub(crate) fn run(args: Args) -> ExitCode {
    let Args { common, org } = args;
    let resolved = match common.resolve() {
        Ok(resolved) => resolved,
        Err(error) => return misused("token", &error),
    };
    let data = match flags::data(&resolved) {
        Ok(data) => data,
        Err(error) => return misused("token", &error),
    };
    if !data.join(SECRET_FILE).exists() {
        // Right before the first start, and the sign of a wrong directory after it.
        eprintln!("plimsoll token: making a new signing secret in {}", data.display());
    }
    let keys = match Keys::load_or_create(data) {
        Ok(keys) => keys,
        Err(error) => return failed("token", &error),
    };
    let token = match keys.issue(&org) {
        Ok(token) => token,
        Err(error) => return misused("token", &error),
    };
    if io::stderr().is_terminal() {
        eprintln!("A token for {org}; send it as the header  Authorization: Bearer <token>");
    }
    match writeln!(io::stdout(), "{token}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("token", &error),
    }
}
