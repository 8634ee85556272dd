//! Making a keyed limiter.

use std::fmt;
use std::hash::RandomState;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::Keyed;
use super::table::{Factory, Settings, Table};
use crate::limiter::Limiter;
use crate::{Invalid, Name, registry};

/// The most keys that can be asked for: 2^24, gigabytes of them.
const KEYS_MAX: usize = 1 << 24;

/// Builds a [`Keyed`] limiter; made by [`Keyed::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<K, L, S = RandomState> {
    name: String,
    factory: Factory<K, L>,
    keys_max: usize,
    idle_after: Duration,
    hasher: S,
}

impl<K, L> Builder<K, L> {
    pub(super) fn new(name: &str, factory: Factory<K, L>) -> Self {
        Self {
            name: name.into(),
            factory,
            keys_max: 10_000,
            idle_after: Duration::from_secs(600),
            hasher: RandomState::new(),
        }
    }
}

impl<K, L, S> Builder<K, L, S> {
    /// How many keys are remembered at the most: 1 to 16,777,216, and 10,000 by default. A key of a
    /// semaphore takes about 350 bytes beside its own.
    pub const fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = keys;
        self
    }

    /// After how long without use a key may leave; more than zero, and 10 minutes by default. It
    /// changes no decision, only how often a limiter is made anew.
    pub const fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// How keys are hashed, where they are not chosen by strangers and speed counts.
    pub fn hasher<T>(self, hasher: T) -> Builder<K, L, T> {
        let Self { name, factory, keys_max, idle_after, .. } = self;
        Builder { name, factory, keys_max, idle_after, hasher }
    }

    /// Makes the limiter and puts it into the [registry](crate::registry), as one entry whatever its
    /// keys.
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a number is out of its range.
    pub fn build(self) -> Result<Keyed<K, L, S>, Invalid>
    where
        K: Send + 'static,
        L: Limiter,
        S: Send + Sync + 'static,
    {
        let Self { name, factory, keys_max, idle_after, hasher } = self;
        let name = Name::new(&name)?;
        if !(1..=KEYS_MAX).contains(&keys_max) {
            return Err(Invalid::new(name, "keys_max", keys_max, "1 to 16,777,216 keys"));
        }
        if idle_after.is_zero() {
            return Err(Invalid::new(name, "idle_after", "0", "more than zero"));
        }
        let settings = Settings { name, factory, keys_max, idle_after, hasher };
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
