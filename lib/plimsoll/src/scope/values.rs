//! What a scope carries for code that is not here: a value for each type.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// At most one value of a type; so no more than the program has types. Shared until one is added.
#[derive(Clone, Default)]
pub(super) struct Values(Option<Arc<Vec<Entry>>>);

type Entry = (TypeId, Arc<dyn Any + Send + Sync>);

impl Values {
    pub(super) fn set<T: Any + Send + Sync>(&mut self, value: Arc<T>) {
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        entries.retain(|(known, _)| *known != TypeId::of::<T>());
        entries.push((TypeId::of::<T>(), value));
    }

    pub(super) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let (_, value) = self.0.as_ref()?.iter().find(|(known, _)| *known == TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok()
    }
}
