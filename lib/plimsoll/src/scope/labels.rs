//! The bounded labels of a scope.

use std::sync::Arc;

/// How many labels a scope can carry; one more is left out and counted.
///
/// ```
/// use plimsoll::scope::{LABELS_MAX, Scope};
/// let full = (0..100).fold(Scope::root(), |scope, key| scope.label(&key.to_string(), "1"));
/// assert_eq!((full.labels().count(), full.labels_left_out()), (LABELS_MAX, 84));
/// ```
pub const LABELS_MAX: usize = 16;
/// How long a label's key and its value can each be, in bytes; what is longer is cut.
///
/// ```
/// use plimsoll::scope::{LABEL_BYTES_MAX, Scope};
/// let scope = Scope::root().label("tenant", &"é".repeat(100)); // two bytes each
/// assert_eq!(scope.label_value("tenant").map(str::len), Some(LABEL_BYTES_MAX));
/// ```
pub const LABEL_BYTES_MAX: usize = 128;

#[derive(Clone, Debug)]
struct Label {
    key: Box<str>,
    value: Arc<str>,
}

/// Labels by key. Shared until one is added, since a child mostly adds none.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    entries: Option<Arc<Vec<Label>>>,
    left_out: u32,
}

impl Labels {
    pub(super) fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (cut(key), cut(value));
        let entries = Arc::make_mut(self.entries.get_or_insert_default());
        if let Some(label) = entries.iter_mut().find(|label| &*label.key == key) {
            label.value = value.into();
        } else if entries.len() < LABELS_MAX {
            entries.push(Label { key: key.into(), value: value.into() });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().flat_map(|entries| entries.iter()).map(|label| (&*label.key, &*label.value))
    }

    pub(super) const fn left_out(&self) -> u32 {
        self.left_out
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LABEL_BYTES_MAX)]
}
