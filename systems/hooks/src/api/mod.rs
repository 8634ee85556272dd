//! Svix's public HTTP interface, so that its clients in a dozen languages work unchanged.
//!
//! Handlers read and validate, then do their work on [`Core`]; what is waited for, tried again and
//! delivered is not theirs. Authentication and admission, with the bound on the size of bodies, are
//! put around [`router`] by the host of the system; [`health`] is open to everybody.
//!
//! # Invariants
//! - A change runs to its end even when the caller goes away, under one write lock: the
//!   application's for its endpoints and deliveries, the organisation's ([`find::anchor`]) for the
//!   list of its applications and for its event types. No handler holds two.
//! - Every list, text and set of a request has a bound; see [`validate`], [`page`] and [`query`].
//! - Errors show nothing of the inside.

mod accept;
mod app;
mod attempt;
mod batch;
mod dead_letter;
mod endpoint;
mod endpoint_in;
mod endpoint_out;
mod event_type;
mod find;
mod growth;
mod headers;
mod health;
mod message;
mod message_out;
mod once;
mod page;
mod pause;
mod reply;
mod routes;
mod secret;
mod shape;
mod task;
mod validate;

#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod tests;

use plimsoll_service::request::{body, problems, query, timestamp};
pub(crate) use routes::{health, router};
