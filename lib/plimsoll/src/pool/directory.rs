//! Which lane a job belongs in.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use crate::label::label;

/// Knows the lane of a key.
pub(super) trait Directory<J>: Send {
    /// The lane of the job's key; `free` is the one to give to a new key.
    fn lane_of(&mut self, job: &J, free: usize) -> usize;

    /// The lane is free again.
    fn forget(&mut self, lane: usize);

    /// The key of the lane as text; made once, since a customer who is refused mostly comes again.
    fn key(&mut self, lane: usize) -> Option<Arc<str>>;
}

/// One lane for all.
pub(super) struct OneLane;

impl<J> Directory<J> for OneLane {
    fn lane_of(&mut self, _: &J, _: usize) -> usize {
        0
    }

    fn forget(&mut self, _: usize) {}

    fn key(&mut self, _: usize) -> Option<Arc<str>> {
        None
    }
}

/// A lane for each key.
pub(super) struct ByKey<K, F> {
    key_of: F,
    // Keys come from customers: std's hasher, which cannot be made to collide on purpose.
    lanes: HashMap<K, usize>,
    keys: Vec<Option<Known<K>>>,
}

struct Known<K> {
    key: K,
    text: Option<Arc<str>>,
}

impl<K, F> ByKey<K, F> {
    pub(super) fn new(key_of: F) -> Self {
        Self { key_of, lanes: HashMap::new(), keys: Vec::new() }
    }
}

impl<J, K, F> Directory<J> for ByKey<K, F>
where
    F: Fn(&J) -> K + Send,
    K: Hash + Eq + Clone + Display + Send,
{
    fn lane_of(&mut self, job: &J, free: usize) -> usize {
        let key = (self.key_of)(job);
        if let Some(lane) = self.lanes.get(&key) {
            return *lane;
        }
        if self.keys.len() <= free {
            self.keys.resize_with(free + 1, || None);
        }
        self.keys[free] = Some(Known { key: key.clone(), text: None });
        self.lanes.insert(key, free);
        free
    }

    fn forget(&mut self, lane: usize) {
        if let Some(known) = self.keys.get_mut(lane).and_then(Option::take) {
            self.lanes.remove(&known.key);
        }
    }

    fn key(&mut self, lane: usize) -> Option<Arc<str>> {
        let Known { key, text } = self.keys.get_mut(lane)?.as_mut()?;
        Some(Arc::clone(text.get_or_insert_with(|| label(key))))
    }
}
