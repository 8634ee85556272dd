//! A few tasks that live and end together.
//!
//! A [`Group`] waits for a free slot *before* it starts a child, so that a loop over a million
//! items holds no more than its limit in memory. The first error cancels the other children and is
//! what [`join`](Group::join) returns; dropping the group ends its children; a panic in a child
//! resumes where the group is joined, after the siblings have ended.
//!
//! ```
//! use plimsoll::group::Group;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let mut group = Group::builder("refresh").limit(16).build()?;
//! for id in 0..100u32 {
//!     group.spawn(async move { Ok::<_, String>(id * 2) }).await;
//! }
//! let doubled = group.join().await.expect("none failed");
//! assert_eq!((doubled.len(), doubled[99]), (100, 198));
//! # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
//! ```
//!
//! # Which one?
//! - To work through a list whose results you want, a group with the default policy.
//! - To let every child finish whatever the others do, [`Builder::collect_all`] and
//!   [`Group::join_each`].
//! - To be content with k of them, [`Builder::quorum`]; with a quorum of one, the first success.
//! - For the same work on many items, [`map`](fn@crate::map), which starts no task per item.
//! - For tasks that come and go for as long as the process lives, such as one per connection, a
//!   group that [collects all](Builder::collect_all), of children that return `()`: a panic or an
//!   ended scope of one does not end the others, and it keeps nothing of those that finish by
//!   themselves. End it with [`Group::drain`].
//! - For the same work over and over, behind a queue, a [`Pool`](crate::pool::Pool): it starts no
//!   task per job.
//!
//! Compared to tokio's `JoinSet` a group has a limit, reacts to an error while nobody polls it, and
//! does not hold finished children until they are asked for.

mod builder;
mod child;
mod ending;
mod error;
mod handle;
mod state;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use ending::Ending;
pub use error::{Error, Failure, Refused};
pub use handle::{Group, Spawned};
