//! Making a semaphore that can be seen.

use std::sync::{Arc, Weak};

use super::handle::Semaphore;
use super::state::State;
use crate::{Invalid, Name, registry};

/// Builds a [`Semaphore`] with a name; made by [`Semaphore::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    limit: u64,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), limit: 0 }
    }

    /// How many permits there are: 1 to 4,398,046,511,103 (4 TiB when permits are bytes). There is
    /// no default.
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Makes the semaphore and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the limit is zero, not set, or too
    /// large. A semaphore of zero would let everybody wait for ever.
    pub fn build(self) -> Result<Semaphore, Invalid> {
        let name = Name::new(&self.name)?;
        State::check(name, self.limit)?;
        Ok(Semaphore(Arc::new_cyclic(|state: &Weak<State>| {
            State::new(name, self.limit, Some(registry::register(state.clone())))
        })))
    }
}
