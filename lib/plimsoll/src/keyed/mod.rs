//! A limiter for each key (tenant, endpoint, address), and never more than so many keys.
//!
//! ```
//! use plimsoll::keyed::Keyed;
//! use plimsoll::semaphore::Semaphore;
//!
//! // Premium tenants get more; at most 100,000 tenants are remembered.
//! let tenants = Keyed::builder("keyed-doc", |tenant: &String| {
//!     Semaphore::new(if tenant.starts_with("premium-") { 64 } else { 1 })
//! })
//! .keys_max(100_000)
//! .build()?;
//!
//! let permit = tenants.try_acquire("acme")?;
//! let refused = tenants.try_acquire("acme").unwrap_err();
//! assert_eq!(refused.to_string(), "keyed-doc acme: 1 of 1 in use, 0 waiting");
//! assert!(tenants.try_acquire("globex").is_ok());
//! # drop(permit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is forgotten, and when
//!
//! A key is forgotten only when that [changes no decision](crate::limiter::Limiter::is_forgettable):
//! no permit of it is out, nobody waits, its bucket is full again, its settings are those that the
//! factory would give it, and nobody holds a [`Handle`] of it. So no tenant slips past its limit by
//! being forgotten.
//!
//! - **Idle keys leave by themselves**, some time after [`idle_after`](Builder::idle_after): every
//!   64th operation, and every new key, looks at 8 keys. There is no background task; where there is
//!   no traffic nothing leaves until [`sweep`](Keyed::sweep) is called.
//! - **At the maximum** a new key takes the place of one that can be forgotten, one that was not used
//!   lately if possible. At most 128 keys are looked at, from where the last search ended, so that
//!   a flood of new keys costs the others little. When none can be forgotten, the new key is rejected
//!   with [`Reason::KeysFull`](crate::Reason::KeysFull).
//!
//! # Compared to
//!
//! A cache of limiters forgets by age or by chance, and a tenant that is forgotten in the middle of
//! its burst has a new one. A map without a maximum grows with whoever sends it keys.
//!
//! # Cost
//!
//! A known key costs one hash, one lock of its shard, held for the admission itself, and one look at
//! the clock. Nothing is allocated. Keys are hashed with the standard library's keyed hash, which
//! keys chosen by an attacker cannot make slow; [`hasher`](Builder::hasher) is for keys that are not.

mod builder;
mod handle;
mod shard;
mod table;
#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use handle::{Handle, Keyed};
