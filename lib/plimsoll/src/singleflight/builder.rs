//! Making a single flight.

use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::Singleflight;
use super::table::{Settings, Table};
use crate::{Invalid, Name, registry};

const KEYS_MAX: u64 = 16_777_216;
const NEGATIVE_MAX: u64 = 1_048_576;
const NEGATIVE_FOR: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3_600));

/// What the followers of a call get when it fails.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::singleflight::{Errors, Singleflight};
/// let each = Singleflight::builder("each").errors(Errors::Each).build()?;
/// let refused = async || Err("your token has expired");
/// let good = async || Ok(7);
/// let (mine, yours) = tokio::join!(each.run("user 7", refused), each.run("user 7", good));
/// assert!(mine.is_err());
/// assert_eq!(yours, Ok(7)); // with `Errors::Share` this would be the error of the other
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Errors {
    /// A clone of the error: what is down is asked once, not once by each.
    #[default]
    Share,
    /// Nothing: each tries itself, one after the other, until one succeeds. For errors that are the
    /// caller's own (its permissions, its deadline). While what is called stays down, the last in a
    /// line of 100 waits for 100 failures.
    Each,
}

/// Builds a [`Singleflight`]; made by [`Singleflight::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::singleflight::Singleflight;
/// let users = || Singleflight::<u64, u64, ()>::builder("users");
/// assert_eq!(users().keys_max(0).build().unwrap_err().field(), "keys_max");
/// let users = users().keys_max(10_000).negative_for(Duration::from_secs(5)).negative_max(100).build()?;
/// assert_eq!(users.snapshot().limit, 10_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<K, T, E> {
    name: String,
    keys_max: u64,
    errors: Errors,
    negative_for: Option<Duration>,
    negative_max: u64,
    of: PhantomData<fn(K) -> Result<T, E>>,
}

impl<K, T, E> Builder<K, T, E> {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            keys_max: 65_536,
            errors: Errors::Share,
            negative_for: None,
            negative_max: 1_024,
            of: PhantomData,
        }
    }

    /// For how many keys calls can run at once: 1 to 16,777,216. Default 65,536. A call for one more
    /// is rejected; those that follow a call count nothing.
    ///
    /// ```
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::<u64, u64, ()>::builder("users-keys-max").keys_max(10_000).build()?;
    /// assert_eq!(users.snapshot().limit, 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn keys_max(mut self, keys: u64) -> Self {
        self.keys_max = keys;
        self
    }

    /// What the followers of a call get when it fails. Default [`Errors::Share`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::cell::Cell;
    /// use plimsoll::singleflight::{Errors, Singleflight};
    /// let users = Singleflight::builder("users-errors").errors(Errors::Each).build()?;
    /// let reads = Cell::new(0);
    /// let read = async || { reads.set(reads.get() + 1); tokio::task::yield_now().await; Err::<u64, _>("denied") };
    /// let (first, second) = tokio::join!(users.run(7, read), users.run(7, read));
    /// assert!(first.is_err() && second.is_err() && reads.get() == 2); // each tried itself
    /// # Ok(()) }
    /// ```
    pub const fn errors(mut self, errors: Errors) -> Self {
        self.errors = errors;
        self
    }

    /// Remembers an error for so long, 1 ms to an hour: who asks for that key again meanwhile gets a
    /// clone of it at once. Default: not at all. Needs [`Errors::Share`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::singleflight::Singleflight;
    /// let users = Singleflight::builder("users-negative").negative_for(Duration::from_secs(5)).build()?;
    /// assert!(users.run(7, async || Err::<u64, _>("no such user")).await.is_err());
    /// assert!(users.run(7, async || Ok(1)).await.is_err()); // remembered
    /// tokio::time::advance(Duration::from_secs(6)).await;
    /// assert_eq!(users.run(7, async || Ok(1)).await, Ok(1));
    /// # Ok(()) }
    /// ```
    pub const fn negative_for(mut self, time: Duration) -> Self {
        self.negative_for = Some(time);
        self
    }

    /// How many errors are remembered at once: 1 to 1,048,576. Default 1,024. Of more, some are
    /// forgotten early: the oldest of the same shard, or the new one.
    ///
    /// ```
    /// use plimsoll::singleflight::Singleflight;
    /// let users = |errors| Singleflight::<u64, u64, ()>::builder("users-negative-max").negative_max(errors).build();
    /// assert!(users(100).is_ok());
    /// assert_eq!(users(0).unwrap_err().field(), "negative_max");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn negative_max(mut self, errors: u64) -> Self {
        self.negative_max = errors;
        self
    }
}

impl<K, T, E> Builder<K, T, E>
where
    K: Hash + Eq + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Makes it and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, a field is out of its range, or errors are
    /// to be remembered but not shared.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::singleflight::{Errors, Singleflight};
    /// let both = Singleflight::<u64, (), ()>::builder("profiles")
    ///     .errors(Errors::Each)
    ///     .negative_for(Duration::from_secs(1));
    /// let refused = both.build().unwrap_err().to_string();
    /// assert_eq!(refused, "profiles: negative_for is 1s, allowed is only with errors that are shared");
    /// ```
    pub fn build(self) -> Result<Singleflight<K, T, E>, Invalid> {
        let name = Name::new(&self.name)?;
        let settings = self.check(name)?;
        Ok(Singleflight(Arc::new_cyclic(|table: &Weak<Table<K, T, E>>| {
            Table::new(settings, registry::register(table.clone()))
        })))
    }
}

impl<K, T, E> Builder<K, T, E> {
    fn check(&self, name: Name) -> Result<Settings, Invalid> {
        let Self { keys_max, errors, negative_for, negative_max, .. } = *self;
        if !(1..=KEYS_MAX).contains(&keys_max) {
            return Err(Invalid::new(name, "keys_max", keys_max, "1 to 16,777,216"));
        }
        if let Some(time) = negative_for {
            let refuse = |allowed| Invalid::new(name, "negative_for", format_args!("{time:?}"), allowed);
            if time < NEGATIVE_FOR.0 || time > NEGATIVE_FOR.1 {
                return Err(refuse("1 ms to an hour"));
            }
            if errors == Errors::Each {
                return Err(refuse("only with errors that are shared"));
            }
        }
        if !(1..=NEGATIVE_MAX).contains(&negative_max) {
            return Err(Invalid::new(name, "negative_max", negative_max, "1 to 1,048,576"));
        }
        Ok(Settings { name, keys_max, errors, negative_for, negative_max })
    }
}
