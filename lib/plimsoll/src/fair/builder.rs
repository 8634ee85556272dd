//! Making a fair queue.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use super::Fair;
use super::queue::Bounds;
use super::shared::{Shared, WeightOf};
use crate::{Invalid, Name, registry};

const DEPTH_MAX: usize = 1 << 24;

/// Builds a [`Fair`] queue; made by [`Fair::builder`].
///
/// ```
/// use plimsoll::fair::Fair;
/// let queue = |depth| Fair::<u64, &str>::builder("mails").depth(depth).depth_per_key(100);
/// assert_eq!(queue(10).build().unwrap_err().field(), "depth_per_key");
/// let queue = queue(1_000).keys_max(500).weight(|tenant| if *tenant == 1 { 3 } else { 1 }).build()?;
/// for mail in ["a", "b", "c", "d"] {
///     queue.try_push(1, mail)?;
///     queue.try_push(2, "z")?;
/// }
/// let served: Vec<_> = std::iter::from_fn(|| queue.try_pop()).take(4).collect();
/// assert_eq!(served, ["a", "b", "c", "z"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder<K, T> {
    name: String,
    depth: usize,
    depth_per_key: Option<usize>,
    keys_max: usize,
    quantum: u32,
    weight: Option<WeightOf<K>>,
    items: PhantomData<fn(T)>,
}

impl<K, T> Builder<K, T>
where
    K: Hash + Eq + Clone + Display + Send + 'static,
    T: Send + 'static,
{
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            depth: 0,
            depth_per_key: None,
            keys_max: 100_000,
            quantum: 1,
            weight: None,
            items: PhantomData,
        }
    }

    /// How many items can be queued: 1 to 16,777,216. There is no default.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-depth").depth(4).depth_per_key(4).build()?;
    /// for mail in 0..4 {
    ///     queue.try_push("acme", mail)?;
    /// }
    /// assert!(queue.try_push("globex", 4).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn depth(mut self, items: usize) -> Self {
        self.depth = items;
        self
    }

    /// How many items of one key can be queued: 1 up to the depth. Default a quarter of the depth,
    /// so that no single customer fills it.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-depth-per-key").depth(100).depth_per_key(1).build()?;
    /// queue.try_push("acme", 1)?;
    /// assert!(queue.try_push("acme", 2).is_err());
    /// assert!(queue.try_push("globex", 3).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn depth_per_key(mut self, items: usize) -> Self {
        self.depth_per_key = Some(items);
        self
    }

    /// How many keys can have an item queued or a push waiting: 1 to 16,777,216. Default 100,000.
    ///
    /// ```
    /// use plimsoll::{Reason, fair::Fair};
    /// let queue = Fair::builder("fair-keys-max").depth(100).keys_max(1).build()?;
    /// queue.try_push("acme", 1)?;
    /// assert_eq!(queue.try_push("globex", 2).unwrap_err().rejected.reason(), Reason::KeysFull);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = keys;
        self
    }

    /// How much cost a key of weight 1 is served in one turn: 1 to 4,294,967,295. Default 1, by which
    /// keys alternate item by item where items cost 1.
    ///
    /// For items of different cost, as large as the largest common one: smaller is finer, but a key
    /// must then save up over several turns, which takes time that grows with the number of busy
    /// keys.
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-quantum").depth(100).quantum(2).build()?;
    /// for number in 1..=3 {
    ///     queue.try_push("acme", number)?;
    ///     queue.try_push("globex", 10 * number)?;
    /// }
    /// // Two in a turn.
    /// assert_eq!([queue.try_pop(), queue.try_pop(), queue.try_pop()], [Some(1), Some(2), Some(10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn quantum(mut self, cost: u32) -> Self {
        self.quantum = cost;
        self
    }

    /// Gives each key a weight: one of weight 3 is served three times as much as one of weight 1, as
    /// long as both have items. 1 to 65,536; default 1 for all.
    ///
    /// It is asked at each push, so that a weight may change, from the key's next turn on. A push of a
    /// key with a weight of another value is refused, as
    /// [`Misconfigured`](crate::Reason::Misconfigured).
    ///
    /// ```
    /// use plimsoll::fair::Fair;
    /// let queue = Fair::builder("fair-weight")
    ///     .depth(100).weight(|tenant| if *tenant == "gold" { 2 } else { 1 }).build()?;
    /// for number in 1..=3 {
    ///     queue.try_push("gold", number)?;
    ///     queue.try_push("plain", 10 * number)?;
    /// }
    /// assert_eq!([queue.try_pop(), queue.try_pop(), queue.try_pop()], [Some(1), Some(2), Some(10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight<F>(mut self, weight_of: F) -> Self
    where
        F: Fn(&K) -> u32 + Send + Sync + 'static,
    {
        self.weight = Some(Box::new(weight_of));
        self
    }

    /// Makes the queue and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a field is not set or out of its range.
    ///
    /// ```
    /// use plimsoll::{fair::Fair, registry};
    /// let queue = Fair::<u64, &str>::builder("fair-built").depth(100).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == queue.name()));
    /// assert_eq!(Fair::<u64, &str>::builder("fair-built").build().unwrap_err().field(), "depth"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Fair<K, T>, Invalid> {
        let name = Name::new(&self.name)?;
        let Self { depth, keys_max, quantum, .. } = self;
        if !(1..=DEPTH_MAX).contains(&depth) {
            return Err(Invalid::new(name, "depth", depth, "1 to 16,777,216"));
        }
        let depth_per_key = self.depth_per_key.unwrap_or_else(|| (depth / 4).max(1));
        if !(1..=depth).contains(&depth_per_key) {
            return Err(Invalid::new(name, "depth_per_key", depth_per_key, "1 up to the depth"));
        }
        if !(1..=DEPTH_MAX).contains(&keys_max) {
            return Err(Invalid::new(name, "keys_max", keys_max, "1 to 16,777,216"));
        }
        if quantum == 0 {
            return Err(Invalid::new(name, "quantum", quantum, "1 to 4,294,967,295"));
        }
        let bounds = Bounds { depth, depth_per_key, keys_max, quantum: u64::from(quantum) };
        Ok(Fair(Arc::new_cyclic(|shared: &Weak<Shared<K, T>>| {
            Shared::new(name, bounds, self.weight, registry::register(shared.clone()))
        })))
    }
}

impl<K, T> fmt::Debug for Builder<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("depth", &self.depth)
            .field("depth_per_key", &self.depth_per_key)
            .field("keys_max", &self.keys_max)
            .field("quantum", &self.quantum)
            .finish_non_exhaustive()
    }
}
