//! Policy is central, execution is local: who differs from the settings, by a file that is read
//! again when it changes and by what operators push, put in force while the process runs.
//!
//! A system declares which [`Field`]s an organisation or an application may have, and [`Enforce`]s
//! the table that is in force. Which wins: of an application's fields, those of its own entry, then
//! its organisation's, then the defaults, then the settings; and of one entry, what was pushed over
//! what the file says, each field by itself.
//!
//! # Invariants
//! - A table is checked as a whole with both of its layers before anything of it is in force; where
//!   it is refused the old one stays, on disk and in memory.
//! - A push is durable before it is in force, and in force before it is answered.
//! - Every push has a version; who names the one it has seen does not overwrite another's.

mod control;
mod kept;
mod read;
mod routes;
mod table;
mod tenants;
mod watch;

pub use control::{Commit, Control, Enforce, Layers, Options, Refused};
pub use routes::routes;
pub use table::{Field, Of, Overrides, Table, Who};
pub use tenants::{TENANT_FIELDS, TenantBase};
