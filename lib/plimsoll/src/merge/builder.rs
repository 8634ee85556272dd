//! Making a merge.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use super::Merge;
use super::shared::Shared;
use crate::{Invalid, Name, registry};

const INPUTS_MAX: usize = 1 << 20;

/// Builds a [`Merge`]; made by [`Merge::builder`].
///
/// ```
/// use futures_util::stream::Empty;
/// use plimsoll::merge::Merge;
/// let merge = Merge::<Empty<u32>>::builder("partitions");
/// let refused = merge.build().unwrap_err();
/// assert_eq!((refused.bound().as_str(), refused.field()), ("partitions", "inputs_max"));
/// let merge = Merge::<Empty<u32>>::builder("partitions").inputs_max(64).build()?;
/// assert_eq!(merge.snapshot().limit, 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<S> {
    name: String,
    inputs_max: usize,
    inputs: PhantomData<fn(S)>,
}

impl<S> Builder<S> {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), inputs_max: 0, inputs: PhantomData }
    }

    /// How many inputs there can be at once: 1 to 1,048,576. There is no default.
    ///
    /// ```
    /// use futures_util::stream;
    /// use plimsoll::merge::Merge;
    /// let mut merge = Merge::builder("merge-inputs-max").inputs_max(1).build()?;
    /// merge.add(stream::iter([1]))?;
    /// assert!(merge.add(stream::iter([2])).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn inputs_max(mut self, inputs: usize) -> Self {
        self.inputs_max = inputs;
        self
    }

    /// Makes the merge and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or the number of inputs is not set or out
    /// of its range.
    ///
    /// ```
    /// use futures_util::stream::Empty;
    /// use plimsoll::{merge::Merge, registry};
    /// let merge = Merge::<Empty<u32>>::builder("merge-built").inputs_max(64).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == merge.name()));
    /// assert_eq!(Merge::<Empty<u32>>::builder("merge-built").build().unwrap_err().field(), "inputs_max"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Merge<S>, Invalid> {
        let name = Name::new(&self.name)?;
        let inputs_max = self.inputs_max;
        if !(1..=INPUTS_MAX).contains(&inputs_max) {
            return Err(Invalid::new(name, "inputs_max", inputs_max, "1 to 1,048,576"));
        }
        Ok(Merge::new(Arc::new_cyclic(|shared: &Weak<Shared>| {
            Shared::new(name, inputs_max, registry::register(shared.clone()))
        })))
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).field("inputs_max", &self.inputs_max).finish()
    }
}
