//! One bound shared out: so much for reads, so much for writes, and what is unused is lent.
//!
//! A [`Budget`] is one limit (of connections, of permits, of bytes) and a [`Share`] of it for each kind
//! of work, so that none can take it all from the others. Each share is a limiter of its own:
//!
//! ```
//! use plimsoll::budget::Budget;
//!
//! let database = Budget::builder("db").limit(100)
//!     .share("reads", 50).share("writes", 30).share("background", 20)
//!     .lends("reads")
//!     .build()?;
//! let (reads, background) = (database.share("reads")?, database.share("background")?);
//!
//! // Background has 20 of its own, and borrows what reads do not use.
//! let nightly = background.try_acquire_many(60)?;
//! assert_eq!(background.borrowed(), 40);
//!
//! // Reads have 10 at once; the 40 that are lent come to them as they end, before anybody else.
//! let ten = reads.try_acquire_many(10)?;
//! let refused = reads.try_acquire().unwrap_err();
//! assert_eq!(refused.to_string(), "db/reads: 10 of 50 in use, 0 waiting");
//! drop(nightly);
//! assert!(reads.try_acquire_many(40).is_ok());
//! # drop(ten);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which one?
//!
//! | you want | use |
//! | --- | --- |
//! | a limit for each kind of work, and nobody lends | [`share`](Builder::share) alone |
//! | what one kind does not use to be used by others | [`lends`](Builder::lends), or [`lending`](Builder::lending) for all |
//! | shares that add up to more than the bound, each an upper limit | [`oversubscribed`](Builder::oversubscribed) |
//! | one limit, no shares | a [semaphore](crate::semaphore) |
//! | a share for each of many tenants | a [keyed](crate::keyed) limiter |
//! | a cap on what retries add | a [retry budget](crate::retry::Budget), which is something else |
//!
//! # What is kept to
//!
//! - All shares together never have more out than the limit.
//! - What is within a share is refused only because of what is lent out of it: there is nothing else
//!   that can stand in the way. It waits for that at the longest, since what is given back goes first
//!   to whoever asks for what is theirs.
//! - What is unused of a share that does not lend stays free for it. What no share has is lent to all.
//! - Oversubscribed, nothing is guaranteed: a share is an upper limit, and the bound is first come,
//!   first served. There is nothing to lend then, and asking for both is refused.
//!
//! # Fairness
//!
//! First come, first served within a share: once somebody waits, everybody who comes later to that
//! share waits behind them. Between shares, those who ask for what is theirs are served before those
//! who borrow, each group in order of arrival; a claim that is too large for what is free is kept
//! what it needs, so that it is not starved by small ones.

mod builder;
mod handle;
mod ledger;
mod permit;
mod share;
mod state;
mod wait;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use handle::Budget;
pub use permit::Permit;
pub use share::Share;
