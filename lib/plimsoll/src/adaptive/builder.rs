//! Making an adaptive limiter that can be seen.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use super::algorithm::Algorithm;
use super::handle::Adaptive;
use super::knee::Knee;
use super::state::State;
use crate::semaphore::Semaphore;
use crate::{Invalid, Name, registry};

const LIMITS: RangeInclusive<u64> = 1..=1_000_000;

/// Builds an [`Adaptive`] limiter with a name; made by [`Adaptive::builder`].
///
/// ```
/// use plimsoll::adaptive::{Adaptive, Aimd};
/// let search = Adaptive::builder("search").algorithm(Aimd::new()).initial(30).limits(5, 200).build()?;
/// assert_eq!((search.limit(), search.limit_min(), search.limit_max()), (30, 5, 200));
/// let refused = Adaptive::builder("search").initial(30).limits(5, 20).build().unwrap_err();
/// assert_eq!((refused.field(), refused.value()), ("initial", "30"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    algorithm: Box<dyn Algorithm>,
    initial: u64,
    limits: (u64, u64),
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), algorithm: Box::new(Knee::new()), initial: 20, limits: (1, 1_000) }
    }

    /// What finds the limit. Default: [`Knee`].
    ///
    /// ```
    /// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
    /// let search = Adaptive::builder("search-algorithm").algorithm(Aimd::new().backoff(0.5)).initial(20).build()?;
    /// search.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(search.limit(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.algorithm = Box::new(algorithm);
        self
    }

    /// Where it begins: within the [`limits`](Self::limits). Default 20.
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// assert_eq!(Adaptive::builder("search-initial").initial(50).build()?.limit(), 50);
    /// assert_eq!(Adaptive::builder("search-initial").build()?.limit(), 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn initial(mut self, limit: u64) -> Self {
        self.initial = limit;
        self
    }

    /// The limit is never below the one nor above the other: 1 to 1,000,000. Default 1 and 1,000.
    ///
    /// The lower is what is let through to something that is down; the higher what memory, sockets or
    /// whatever stands behind can bear at the very most.
    ///
    /// ```
    /// use plimsoll::{Outcome, adaptive::{Adaptive, Aimd}};
    /// let search = Adaptive::builder("search-limits").algorithm(Aimd::new().backoff(0.1)).limits(8, 64).build()?;
    /// search.try_acquire()?.finish(Outcome::Failure);
    /// assert_eq!(search.limit(), 8); // not 2
    /// assert!(Adaptive::builder("search-limits").limits(64, 8).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn limits(mut self, min: u64, max: u64) -> Self {
        self.limits = (min, max);
        self
    }

    /// Makes the limiter and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, the limits are out of their range or the
    /// wrong way round, the initial limit is not within them, or a setting of the algorithm is out of
    /// its range.
    ///
    /// ```
    /// use plimsoll::{adaptive::Adaptive, registry};
    /// let search = Adaptive::builder("search-built").build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == search.name()));
    /// assert!(Adaptive::builder("search-built").initial(2_000).build().is_err()); // above the maximum of 1,000
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Adaptive, Invalid> {
        let (name, semaphore) = self.check()?;
        Ok(Adaptive(Arc::new_cyclic(|state: &Weak<State>| {
            let registration = registry::register(state.clone());
            State::new(name, semaphore, self.algorithm, self.limits, Some(registration))
        })))
    }

    /// Makes the limiter, of which nobody sees more than its name in a rejection: a value of a
    /// [keyed](crate::keyed) limiter, which is seen as a whole.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// ```
    /// use plimsoll::adaptive::Adaptive;
    /// use plimsoll::keyed::Keyed;
    ///
    /// let destinations = Keyed::builder("destinations", |_: &String| {
    ///     Adaptive::builder("destination").initial(4).limits(1, 64).build_unregistered()
    /// });
    /// let destinations = destinations.keys_max(10_000).build()?;
    /// let permit = destinations.try_acquire("example.com")?;
    /// # drop(permit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_unregistered(self) -> Result<Adaptive, Invalid> {
        let (name, semaphore) = self.check()?;
        Ok(Adaptive(Arc::new(State::new(name, semaphore, self.algorithm, self.limits, None))))
    }

    fn check(&self) -> Result<(Name, Semaphore), Invalid> {
        let name = Name::new(&self.name)?;
        let (min, max) = self.limits;
        for (field, limit) in [("limits min", min), ("limits max", max)] {
            if !LIMITS.contains(&limit) {
                let allowed = "1 to 1,000,000 (a limit of 0 admits nobody, ever)";
                return Err(Invalid::new(name, field, limit, allowed));
            }
        }
        if min > max {
            return Err(Invalid::new(name, "limits min", min, "at most limits max"));
        }
        if !(min..=max).contains(&self.initial) {
            return Err(Invalid::new(name, "initial", self.initial, "limits min to limits max"));
        }
        self.algorithm.check(name)?;
        Ok((name, Semaphore::new(self.initial)?))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .field("initial", &self.initial)
            .field("limits", &self.limits)
            .finish()
    }
}
