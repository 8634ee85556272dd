//! Making a group.

use super::{Ending, Group};
use crate::{Invalid, Name};

/// The largest limit of a group.
const LIMIT_MAX: usize = 1 << 24;

/// Builds a [`Group`]; made by [`Group::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    limit: usize,
    collect_all: bool,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), limit: 0, collect_all: false }
    }

    /// How many children run at once: 1 to 16,777,216. There is no default.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Lets the other children go on when one fails or panics. Every error is kept until the group
    /// is joined. By default, the first error cancels the rest.
    pub const fn collect_all(mut self) -> Self {
        self.collect_all = true;
        self
    }

    /// Makes the group and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the limit is zero, not set, or too
    /// large. With a limit of zero, `spawn` would wait for ever.
    pub fn build<O: Ending>(self) -> Result<Group<O>, Invalid> {
        let name = Name::new(&self.name)?;
        check_limit(name, self.limit)?;
        Ok(Group::registered(name, self.limit, self.collect_all))
    }
}

pub(super) fn check_limit(name: Name, limit: usize) -> Result<(), Invalid> {
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Invalid::new(name, "limit", limit, "1 to 16,777,216"))
}
