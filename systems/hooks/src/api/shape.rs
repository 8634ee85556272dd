//! Pieces that several shapes of JSON share.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Something that is written as its text: an id.
#[derive(Clone, Copy)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// JSON text out of the store, as it stands there.
pub(super) fn stored_json(text: &str) -> &RawValue {
    serde_json::from_str(text).or_else(|_| serde_json::from_str("{}")).unwrap_or(RawValue::NULL)
}
