//! What came out of order, put in order.

/// Lists of values with their places; each place from zero on comes up once.
pub(super) struct Ordered<V> {
    lists: Vec<Vec<(usize, V)>>,
}

/// A list below this length is added to the one before it, so that lanes that come and go do not
/// leave a list for each item.
const SHORT: usize = 64;

impl<V> Ordered<V> {
    pub(super) const fn new() -> Self {
        Self { lists: Vec::new() }
    }

    pub(super) fn add(&mut self, mut list: Vec<(usize, V)>) {
        match self.lists.last_mut() {
            Some(last) if list.len() < SHORT => last.append(&mut list),
            _ => self.lists.push(list),
        }
    }

    pub(super) fn in_order(mut self) -> Vec<V> {
        if self.lists.len() <= 1 {
            let list = self.lists.pop().unwrap_or_default();
            if list.is_sorted_by_key(|(place, _)| *place) {
                return list.into_iter().map(|(_, value)| value).collect();
            }
            self.lists.push(list);
        }
        let mut slots = Vec::new();
        slots.resize_with(self.lists.iter().map(Vec::len).sum(), || None);
        for (place, value) in self.lists.into_iter().flatten() {
            slots[place] = Some(value);
        }
        slots.into_iter().flatten().collect()
    }
}
