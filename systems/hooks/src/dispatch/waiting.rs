//! Lanes that wait for something, by application in turn.

use std::collections::VecDeque;

use plimsoll_store::{AppId, EndpointId};
use rustc_hash::FxHashMap;

/// A queue in which one application's many lanes stand behind each other, not before everybody else's.
#[derive(Default)]
pub(crate) struct Waiting {
    apps: VecDeque<AppId>,
    lanes: FxHashMap<AppId, VecDeque<EndpointId>>,
    len: usize,
}

impl Waiting {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, app: AppId, endpoint: EndpointId) {
        let lanes = self.lanes.entry(app).or_default();
        if lanes.is_empty() {
            self.apps.push_back(app);
        }
        lanes.push_back(endpoint);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<(AppId, EndpointId)> {
        let app = self.apps.pop_front()?;
        let lanes = self.lanes.get_mut(&app)?;
        let endpoint = lanes.pop_front()?;
        self.len -= 1;
        if lanes.is_empty() {
            self.lanes.remove(&app);
        } else {
            self.apps.push_back(app);
        }
        Some((app, endpoint))
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_store::Id;

    use super::*;

    #[test]
    fn lanes_are_taken_by_application_in_turn() {
        let app = |number: u8| AppId(Id::from_bytes([number; 20]));
        let endpoint = |number: u8| EndpointId(Id::from_bytes([number; 20]));
        let mut waiting = Waiting::default();
        (0..5).for_each(|number| waiting.push(app(1), endpoint(number)));
        waiting.push(app(2), endpoint(9));
        assert_eq!(waiting.len(), 6);
        let taken: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        let of: Vec<_> = taken.iter().map(|(app, _)| app.as_bytes()[0]).collect();
        assert_eq!(of, [1, 2, 1, 1, 1, 1]);
        assert_eq!(taken[2].1, endpoint(1), "and of each in the order in which they came");
        assert!(waiting.is_empty());
    }
}
