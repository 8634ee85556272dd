//! What every Plimsoll system shares: configuration, auth, admission, errors, telemetry,
//! reading requests, listening, drain.
//!
//! It knows the library and nothing of stores or engines. A system composes its router from
//! [`auth::require`] and [`admission`], answers with [`error::ApiError`], declares its settings as
//! a table of [`config::Setting`]; the host in `cli` listens, drains and shows the numbers.

pub mod admin;
pub mod admission;
mod answer;
pub mod auth;
pub mod config;
pub mod descriptors;
pub mod drain;
pub mod error;
pub mod gate;
pub mod listen;
pub mod policy;
pub mod request;
pub mod secret;
pub mod settings;
pub mod telemetry;
mod token;
