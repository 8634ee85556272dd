//! `plimsoll serve`: the server, from its settings to its last commit.
//!
//! # Invariants
//! - The admin listener is there before anything else: while the store is opened `/ready` says that
//!   the process is starting.
//! - It says that it is ready when clients can connect and deliveries run, not before.
//! - SIGTERM: no request is accepted any more, those in progress are answered, deliveries in
//!   progress finish, the store is closed; all within the drain's time. The admin listener stays
//!   until the deliveries have ended, so that the drain can be watched.

mod compose;
mod live;
mod ready;
mod run;

pub(crate) use run::{Args, run};
