//! Making a group.

use super::state::Policy;
use super::{Ending, Group};
use crate::{Invalid, Name};

/// The largest limit of a group.
const LIMIT_MAX: usize = 1 << 24;

/// Builds a [`Group`]; made by [`Group::builder`].
///
/// ```
/// use plimsoll::group::Group;
/// let group: Group<()> = Group::builder("connections").limit(1_000).build()?;
/// assert_eq!((group.name().as_str(), group.limit(), group.len()), ("connections", 1_000, 0));
/// let both = Group::builder("reads").limit(5).collect_all().quorum(3).build::<()>();
/// assert_eq!(both.unwrap_err().to_string(), "reads: quorum is 3, allowed is none in a group that collects all");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    limit: usize,
    collect_all: bool,
    quorum: Option<usize>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), limit: 0, collect_all: false, quorum: None }
    }

    /// How many children run at once: 1 to 16,777,216. There is no default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut one = Group::builder("one-at-once").limit(1).build()?;
    /// one.spawn(std::future::pending::<()>()).await;
    /// assert!(one.try_spawn(std::future::pending()).is_err());
    /// assert!(Group::builder("none-at-once").limit(0).build::<()>().is_err());
    /// # Ok(()) }
    /// ```
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Lets the other children go on when one fails or panics. Every error is kept until the group
    /// is joined. By default, the first error cancels the rest.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::group::Group;
    /// let mut group = Group::builder("all").limit(2).collect_all().build()?;
    /// for id in 0..4u32 {
    ///     group.spawn(async move { if id % 2 == 0 { Err(id) } else { Ok(id) } }).await;
    /// }
    /// assert_eq!(group.join().await.unwrap_err().to_string(), "0 (and 1 more failed)");
    /// # Ok(()) }
    /// ```
    pub const fn collect_all(mut self) -> Self {
        self.collect_all = true;
        self
    }

    /// Ends the other children as soon as so many have succeeded; at least 1, and 1 is the first
    /// success. Errors end nothing, and every one is kept until the group is joined. By default, all
    /// have to succeed.
    ///
    /// ```
    /// use plimsoll::group::Group;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let mut group = Group::builder("replicas").limit(5).quorum(2).build()?;
    /// for replica in 0..5u32 {
    ///     let read = async move {
    ///         match replica {
    ///             0 => Err("down"),
    ///             1 | 2 => Ok(replica),
    ///             _ => std::future::pending().await,
    ///         }
    ///     };
    ///     group.spawn(read).await;
    /// }
    /// assert_eq!(group.join().await, Ok(vec![1, 2]));
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub const fn quorum(mut self, wanted: usize) -> Self {
        self.quorum = Some(wanted);
        self
    }

    /// Makes the group and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes; when the limit is zero, not set, or too
    /// large (with a limit of zero, `spawn` would wait for ever); when the quorum is zero, or set for a
    /// group that collects all.
    ///
    /// ```
    /// use plimsoll::{group::Group, registry};
    /// let group: Group<Result<u32, String>> = Group::builder("group-built").limit(16).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == group.name()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build<O: Ending>(self) -> Result<Group<O>, Invalid> {
        let name = Name::new(&self.name)?;
        check_limit(name, self.limit)?;
        let policy = match (self.quorum, self.collect_all) {
            (None, false) => Policy::FailFast,
            (None, true) => Policy::CollectAll,
            (Some(wanted), false) if wanted > 0 => Policy::Quorum(wanted),
            (Some(wanted), false) => return Err(Invalid::new(name, "quorum", wanted, "1 or more")),
            (Some(wanted), true) => {
                return Err(Invalid::new(name, "quorum", wanted, "none in a group that collects all"));
            }
        };
        Ok(Group::registered(name, self.limit, policy))
    }
}

pub(super) fn check_limit(name: Name, limit: usize) -> Result<(), Invalid> {
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Invalid::new(name, "limit", limit, "1 to 16,777,216"))
}
