//! Room for the connections of a plan: what the system lets this process hold open.
//!
//! A generator that runs out of descriptors would count its own limit as the target's refusals.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;
use crate::plan::Plan;

/// What a process holds open besides connections: files, standard streams, its runtimes.
const BESIDES: u64 = 64;
/// What each worker holds open for itself: its timer, and what its runtime waits with.
const EACH_WORKER: u64 = 8;

/// Raises the limit of this process as far as the plan needs it and the system lets it.
///
/// # Errors
/// It does not let it.
pub(super) fn make_room(plan: &Plan) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let besides = BESIDES + EACH_WORKER * plan.workers() as u64;
    let needed = u64::from(plan.connections.max) + besides;
    if is_enough(limit.current, needed) {
        return Ok(());
    }
    let most = limit.maximum;
    if is_enough(most, needed) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: most });
        return raised.map_err(|why| Error::Machine { what: "more open files", why: why.to_string() });
    }
    let room = most.unwrap_or_default().saturating_sub(besides);
    let allowed =
        format!("at most {room} while this process may hold {} files open (ulimit -Hn)", room + besides);
    Err(Error::invalid("connections", plan.connections.max, allowed))
}

/// Whether a limit, which may be none, is that much.
fn is_enough(limit: Option<u64>, needed: u64) -> bool {
    limit.is_none_or(|limit| limit >= needed)
}
