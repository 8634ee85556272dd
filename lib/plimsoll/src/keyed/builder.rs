//! Making a keyed limiter.

use std::fmt;
use std::hash::RandomState;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::Keyed;
use super::table::{Factory, Rollout, Settings, Table};
use crate::limiter::{Limiter, Observable};
use crate::observe::Enforcement;
use crate::{Invalid, Name, registry};

/// The most keys that can be asked for: 2^24, gigabytes of them.
const KEYS_MAX: usize = 1 << 24;

/// Builds a [`Keyed`] limiter; made by [`Keyed::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
/// let tenants = || Keyed::builder("tenants", |_: &u64| Semaphore::new(8));
/// let refused = tenants().keys_max(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "tenants: keys_max is 0, allowed is 1 to 16,777,216 keys");
/// let tenants = tenants().keys_max(50_000).idle_after(Duration::from_secs(60)).enforced_ratio(0.1).build()?;
/// assert_eq!((tenants.keys_max(), tenants.enforced_ratio()), (50_000, 0.1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<K, L, S = RandomState> {
    name: String,
    factory: Factory<K, L>,
    keys_max: usize,
    idle_after: Duration,
    hasher: S,
    rollout: Option<(f64, Rollout<L>)>,
}

impl<K, L> Builder<K, L> {
    pub(super) fn new(name: &str, factory: Factory<K, L>) -> Self {
        Self {
            name: name.into(),
            factory,
            keys_max: 10_000,
            idle_after: Duration::from_secs(600),
            hasher: RandomState::new(),
            rollout: None,
        }
    }
}

impl<K, L, S> Builder<K, L, S> {
    /// How many keys are remembered at the most: 1 to 16,777,216, and 10,000 by default. A key of a
    /// semaphore takes about 350 bytes beside its own; 400 more once it has refused or made wait, and 600
    /// more once it has refused a thousand times.
    ///
    /// ```
    /// use plimsoll::{Reason, keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-max", |_: &u64| Semaphore::new(1)).keys_max(1).build()?;
    /// let permit = tenants.try_acquire(&1)?;
    /// assert_eq!(tenants.try_acquire(&2).unwrap_err().reason(), Reason::KeysFull);
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = keys;
        self
    }

    /// After how long without use a key may leave; more than zero, and 10 minutes by default. It
    /// changes no decision, only how often a limiter is made anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-idle", |_: &u64| Semaphore::new(1))
    ///     .idle_after(Duration::from_secs(60)).build()?;
    /// drop(tenants.try_acquire(&1)?);
    /// assert_eq!(tenants.sweep(), 0);
    /// tokio::time::advance(Duration::from_secs(120)).await;
    /// assert_eq!((tenants.sweep(), tenants.len()), (1, 0));
    /// # Ok(()) }
    /// ```
    pub const fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// How keys are hashed, where they are not chosen by strangers and speed counts.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// // Row numbers of our own database: nobody chooses them to collide.
    /// let rows = Keyed::builder("rows", |_: &u64| Semaphore::new(1))
    ///     .hasher(BuildHasherDefault::<DefaultHasher>::default())
    ///     .build()?;
    /// let permit = rows.try_acquire(&7)?;
    /// assert!(rows.try_acquire(&7).is_err() && rows.try_acquire(&8).is_ok());
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hasher<T>(self, hasher: T) -> Builder<K, L, T> {
        let Self { name, factory, keys_max, idle_after, rollout, .. } = self;
        Builder { name, factory, keys_max, idle_after, hasher, rollout }
    }

    /// Which share of their rejections the limiters of all keys carry out, 0 (they only count them) to
    /// 1; not set, each key has what the factory gave it. It can be
    /// [changed](Keyed::set_enforced_ratio) at runtime.
    ///
    /// The maximum of keys, which protects memory, is always enforced.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, semaphore::Semaphore};
    /// let tried_out = Keyed::builder("keyed-ratio", |_: &u64| Semaphore::new(1)).enforced_ratio(0.0).build()?;
    /// let over = (tried_out.try_acquire(&7)?, tried_out.try_acquire(&7)?);
    /// assert_eq!(tried_out.snapshot().would_reject, 1);
    /// # drop(over);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enforced_ratio(mut self, ratio: f64) -> Self
    where
        L: Observable,
    {
        self.rollout = Some((ratio, Rollout::new()));
        self
    }

    /// Makes the limiter and puts it into the [registry](crate::registry), as one entry whatever its
    /// keys.
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a number is out of its range.
    ///
    /// ```
    /// use plimsoll::{keyed::Keyed, registry, semaphore::Semaphore};
    /// let tenants = Keyed::builder("keyed-built", |_: &u64| Semaphore::new(1)).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == tenants.name()));
    /// assert!(Keyed::builder("keyed-built", |_: &u64| Semaphore::new(1)).keys_max(0).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Keyed<K, L, S>, Invalid>
    where
        K: Send + 'static,
        L: Limiter,
        S: Send + Sync + 'static,
    {
        let Self { name, factory, keys_max, idle_after, hasher, rollout } = self;
        let name = Name::new(&name)?;
        if !(1..=KEYS_MAX).contains(&keys_max) {
            return Err(Invalid::new(name, "keys_max", keys_max, "1 to 16,777,216 keys"));
        }
        if idle_after.is_zero() {
            return Err(Invalid::new(name, "idle_after", "0", "more than zero"));
        }
        let enforcement = Enforcement::new();
        enforcement.set_ratio(name, rollout.as_ref().map_or(1.0, |(ratio, _)| *ratio))?;
        let rollout = rollout.map(|(_, rollout)| rollout);
        let settings = Settings { name, factory, keys_max, idle_after, hasher, enforcement, rollout };
        Ok(Keyed(Arc::new_cyclic(|table: &Weak<Table<K, L, S>>| {
            Table::new(settings, registry::register(table.clone()))
        })))
    }
}

impl<K, L, S> fmt::Debug for Builder<K, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("keys_max", &self.keys_max)
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}
