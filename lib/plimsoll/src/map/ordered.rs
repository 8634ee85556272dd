//! What came out of order, put in order.

/// Values with their places; each place from zero on comes up once.
#[doc(hidden)]
pub struct Ordered<V> {
    slots: Vec<Option<V>>,
}

impl<V> Ordered<V> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    #[inline]
    pub(super) fn put(&mut self, place: usize, value: V) {
        if place >= self.slots.len() {
            self.slots.resize_with(place, || None);
            self.slots.push(Some(value));
        } else {
            self.slots[place] = Some(value);
        }
    }

    pub(super) fn in_order(self) -> Vec<V> {
        let mut values = Vec::with_capacity(self.slots.len());
        values.extend(self.slots.into_iter().flatten());
        values
    }
}
