//! Whose turn it is: weighted deficit round robin over organisations, then their applications.
//!
//! A turn is as many deliveries as the weight says: an organisation's goes round its applications, each
//! of which has as many of them in a row as its own weight. What leaves before its turn is over does
//! not get the rest later, so that nothing is saved up; what is not in a ring costs nothing.
//!
//! # Invariants
//! - An organisation is in the outer ring if and only if its own is not empty.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_store::{AppId, Org};
use rustc_hash::FxHashMap;

#[derive(Default)]
struct OrgRing {
    apps: VecDeque<AppId>,
    /// What is left of its turn, and of the turn of the first of its applications; 0 before it begins.
    left: u32,
    app_left: u32,
}

#[derive(Default)]
pub(crate) struct Rings {
    orgs: FxHashMap<Org, OrgRing>,
    ring: VecDeque<Org>,
}

/// How many deliveries a turn is.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) org: u32,
    pub(crate) app: u32,
}

impl Rings {
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Puts the application behind the others of its organisation. It must not be in.
    pub(crate) fn push(&mut self, org: &Org, app: AppId) {
        if !self.orgs.contains_key(org) {
            self.orgs.insert(Arc::clone(org), OrgRing::default());
        }
        let Some(ring) = self.orgs.get_mut(org) else { return };
        ring.apps.push_back(app);
        if ring.apps.len() == 1 {
            (ring.left, ring.app_left) = (0, 0);
            self.ring.push_back(Arc::clone(org));
        }
    }

    /// Whose turn it is.
    pub(crate) fn head(&self) -> Option<AppId> {
        self.orgs.get(self.ring.front()?)?.apps.front().copied()
    }

    /// The head was served once, and stays in.
    pub(crate) fn served(&mut self, weights: Weights) {
        let Some(ring) = self.ring.front().and_then(|org| self.orgs.get_mut(org)) else { return };
        if ring.app_left == 0 {
            ring.app_left = weights.app.max(1);
        }
        ring.app_left -= 1;
        if ring.app_left == 0 {
            ring.apps.rotate_left(1);
        }
        self.spend(weights.org);
    }

    /// The head was served once, and leaves.
    pub(crate) fn served_last(&mut self, weights: Weights) {
        self.take_head();
        self.spend(weights.org);
    }

    /// The head leaves without being served.
    pub(crate) fn leave(&mut self) {
        self.take_head();
        let empty =
            self.ring.front().and_then(|org| self.orgs.get(org)).is_none_or(|ring| ring.apps.is_empty());
        if empty {
            self.ring.pop_front();
        }
    }

    /// Forgets organisations that have nothing.
    pub(crate) fn sweep(&mut self) {
        self.orgs.retain(|_, ring| !ring.apps.is_empty());
    }

    fn take_head(&mut self) {
        if let Some(ring) = self.ring.front().and_then(|org| self.orgs.get_mut(org)) {
            ring.apps.pop_front();
            ring.app_left = 0;
        }
    }

    /// One delivery of the turn of the organisation at the head.
    fn spend(&mut self, weight: u32) {
        let Some(ring) = self.ring.front().and_then(|org| self.orgs.get_mut(org)) else { return };
        if ring.left == 0 {
            ring.left = weight.max(1);
        }
        ring.left -= 1;
        if ring.apps.is_empty() {
            self.ring.pop_front();
        } else if ring.left == 0 {
            self.ring.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plimsoll_store::Id;
    use proptest::prelude::*;

    use super::*;

    fn app(number: u8) -> AppId {
        AppId(Id::from_bytes([number; 20]))
    }

    fn org(number: u8) -> Org {
        format!("org_{number}").into()
    }

    proptest! {
        #[test]
        fn shares_are_exact_over_every_round(
            orgs in prop::collection::vec((1u32..=5, prop::collection::vec(1u32..=4, 1..4)), 1..4),
        ) {
            let mut rings = Rings::default();
            let mut weights = BTreeMap::new();
            let mut number = 0;
            for (which, (org_weight, apps)) in orgs.iter().enumerate() {
                for app_weight in apps {
                    number += 1;
                    rings.push(&org(which as u8), app(number));
                    weights.insert(app(number), (which, Weights { org: *org_weight, app: *app_weight }));
                }
            }
            // A round in which every organisation has whole rounds of its own.
            let inner: u32 = orgs.iter().map(|(_, apps)| apps.iter().sum::<u32>()).product();
            let round: u32 = orgs.iter().map(|(weight, _)| weight).sum::<u32>() * inner;
            for _ in 0..2 {
                let mut served: BTreeMap<AppId, u32> = BTreeMap::new();
                for _ in 0..round {
                    let head = rings.head().unwrap();
                    *served.entry(head).or_default() += 1;
                    rings.served(weights[&head].1);
                }
                for (app, (which, weight)) in &weights {
                    let all: u32 = orgs[*which].1.iter().sum();
                    prop_assert_eq!(served[app], weight.org * inner * weight.app / all);
                }
            }
        }

        #[test]
        fn whoever_is_in_is_served_within_a_round_and_nobody_else_is(
            steps in prop::collection::vec((0u8..6, 0u8..4), 0..200),
        ) {
            let mut rings = Rings::default();
            let mut inside = Vec::new();
            let weights = Weights { org: 2, app: 3 };
            for (who, what) in steps {
                let head = rings.head();
                prop_assert_eq!(head.is_none(), inside.is_empty());
                match (what, head) {
                    (0 | 1, _) if !inside.contains(&who) => {
                        inside.push(who);
                        rings.push(&org(who % 3), app(who));
                    }
                    (2, Some(_)) => rings.served(weights),
                    (3, Some(head)) => {
                        inside.retain(|who| app(*who) != head);
                        if who % 2 == 0 { rings.leave() } else { rings.served_last(weights) }
                    }
                    _ => {}
                }
            }
            let mut served = Vec::new();
            for _ in 0..6 * 6 {
                served.extend(rings.head());
                if rings.head().is_some() {
                    rings.served(weights);
                }
            }
            for who in 0..6 {
                prop_assert_eq!(served.contains(&app(who)), inside.contains(&who));
            }
        }
    }
}
