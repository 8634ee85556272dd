//! HTTP as a client speaks it that has seen its requests before: written ahead, answers counted and
//! thrown away.
//!
//! HTTP/1.1 is written by hand, because the price of a request is what a load generator is about:
//! two system calls, one parse of a head, and nothing allocated. HTTP/2 is `h2`, hyper's own engine.

mod body;
mod connect;
mod head;
mod http1;
mod http2;
mod outgoing;
mod stream;
mod throttle;

pub(crate) use connect::{Connector, Spoken, is_denied};
pub(crate) use http1::{Exchange, Wire};
pub(crate) use http2::{Multiplexed, Sender};
pub(crate) use outgoing::Outgoing;
pub(crate) use stream::Stream;
pub(crate) use throttle::Throttled;

use crate::tally::Class;

/// What came of one request on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fate {
    pub(crate) class: Class,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// Whether the connection serves another request.
    pub(crate) keeps: Keeps,
}

/// Whether a connection serves another request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keeps {
    Open,
    Closed,
}

impl Fate {
    /// A request whose connection is of no use any more.
    pub(crate) const fn ended(class: Class, bytes: u64) -> Self {
        Self { class, bytes, keeps: Keeps::Closed }
    }
}

#[cfg(test)]
mod tests;
