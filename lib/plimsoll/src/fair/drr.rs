//! Deficit round robin, pure: who is served next. Shreedhar and Varghese, "Efficient Fair Queueing
//! using Deficit Round Robin", 1996, with weights.
//!
//! # Invariants
//! - A lane is in `turns` exactly while it has items, once. Only the first has a turn.
//! - The deficit of a lane that is not first is less than the cost of its first item, and that of an
//!   empty lane is zero: what a key did not use while it was here is not saved up.
//! - No sum overflows: a cost is at most 2^40, a quantum 2^32 and a weight 2^16.

use std::collections::VecDeque;

/// Up to this many items, the memory of a lane that has emptied is kept for its next user.
const ITEMS_KEPT: usize = 16;

/// Items in lanes: each lane first in first out, the lanes in turns, each turn as much cost as the
/// quantum times the lane's weight.
pub(super) struct Drr<T> {
    quantum: u64,
    lanes: Vec<Lane<T>>,
    turns: VecDeque<usize>,
    len: usize,
}

struct Lane<T> {
    items: VecDeque<(u64, T)>,
    weight: u64,
    /// How much cost it may still be served.
    deficit: u64,
    /// Its turn has begun, and so it was given its quantum.
    has_turn: bool,
}

impl<T> Drr<T> {
    pub(super) const fn new(quantum: u64) -> Self {
        Self { quantum, lanes: Vec::new(), turns: VecDeque::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn lane_len(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.items.len())
    }

    /// Sets what a lane weighs from its next turn on. A lane is made by this, or by its first item.
    pub(super) fn set_weight(&mut self, lane: usize, weight: u64) {
        debug_assert!(weight > 0, "a weight of zero would never be served");
        if lane >= self.lanes.len() {
            let new = || Lane { items: VecDeque::new(), weight: 1, deficit: 0, has_turn: false };
            self.lanes.resize_with(lane + 1, new);
        }
        self.lanes[lane].weight = weight;
    }

    /// Puts an item at the end of a lane whose weight was set.
    pub(super) fn push(&mut self, lane: usize, cost: u64, item: T) {
        let items = &mut self.lanes[lane].items;
        items.push_back((cost, item));
        if items.len() == 1 {
            self.turns.push_back(lane);
        }
        self.len += 1;
    }

    /// Takes the item that is next, and says of which lane.
    ///
    /// In constant time where a cost is no more than the lane's quantum. Where it is more, a lane
    /// must save up: at most every lane is looked at twice, however large the cost.
    pub(super) fn pop(&mut self) -> Option<(usize, T)> {
        let mut passed = 0;
        loop {
            let first = *self.turns.front()?;
            let lane = &mut self.lanes[first];
            if !lane.has_turn {
                lane.has_turn = true;
                lane.deficit += self.quantum * lane.weight;
            }
            let item = lane.items.pop_front_if(|(cost, _)| *cost <= lane.deficit);
            if let Some((cost, _)) = &item {
                lane.deficit -= cost;
                self.len -= 1;
            }
            match lane.items.front() {
                None => self.leave(first),
                Some((next, _)) if *next > lane.deficit => self.end_turn(first),
                Some(_) => {}
            }
            if let Some((_, item)) = item {
                return Some((first, item));
            }
            passed += 1;
            if passed == self.turns.len() {
                self.skip_rounds();
                passed = 0;
            }
        }
    }

    /// Forgets all that lanes held beyond their items, once there are none.
    pub(super) fn reset(&mut self) {
        debug_assert_eq!(self.len, 0);
        (self.lanes, self.turns) = (Vec::new(), VecDeque::new());
    }

    fn end_turn(&mut self, first: usize) {
        self.lanes[first].has_turn = false;
        self.turns.rotate_left(1);
    }

    fn leave(&mut self, first: usize) {
        let lane = &mut self.lanes[first];
        (lane.has_turn, lane.deficit) = (false, 0);
        lane.items.shrink_to(ITEMS_KEPT);
        self.turns.pop_front();
    }

    /// A whole round has served nobody: gives each lane what it would get in the rounds until
    /// somebody can be served in the next, at once.
    fn skip_rounds(&mut self) {
        let rounds = self.turns.iter().map(|lane| {
            let lane = &self.lanes[*lane];
            let missing = lane.items.front().map_or(0, |(cost, _)| cost - lane.deficit);
            missing.div_ceil(self.quantum * lane.weight)
        });
        let skipped = rounds.min().unwrap_or(1) - 1;
        for lane in &self.turns {
            let lane = &mut self.lanes[*lane];
            lane.deficit += skipped * self.quantum * lane.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The algorithm as the paper writes it, round by round.
    #[derive(Default)]
    struct Model {
        quantum: u64,
        active: VecDeque<ModelLane>,
    }

    struct ModelLane {
        lane: usize,
        weight: u64,
        deficit: u64,
        is_served: bool,
        costs: VecDeque<(u64, u32)>,
    }

    impl Model {
        fn push(&mut self, lane: usize, weight: u64, cost: u64, item: u32) {
            match self.active.iter_mut().find(|active| active.lane == lane) {
                Some(active) => active.costs.push_back((cost, item)),
                None => self.active.push_back(ModelLane {
                    lane,
                    weight,
                    deficit: 0,
                    is_served: false,
                    costs: [(cost, item)].into(),
                }),
            }
        }

        fn pop(&mut self) -> Option<(usize, u32)> {
            loop {
                let first = self.active.front_mut()?;
                if !first.is_served {
                    first.is_served = true;
                    first.deficit += self.quantum * first.weight;
                }
                let (cost, item) = first.costs[0];
                let lane = first.lane;
                let is_affordable = cost <= first.deficit;
                if is_affordable {
                    first.deficit -= cost;
                    first.costs.pop_front();
                }
                let next = first.costs.front().map(|(cost, _)| *cost);
                if next.is_none_or(|next| next > first.deficit) {
                    first.is_served = false;
                    let lane = self.active.pop_front();
                    self.active.extend(lane.filter(|lane| !lane.costs.is_empty()));
                }
                if is_affordable {
                    return Some((lane, item));
                }
            }
        }
    }

    /// What each lane is served in a run in which every lane always has items, as (lane, cost).
    fn backlogged(quantum: u64, weights: &[u64], costs: &[u64]) -> Vec<(usize, u64)> {
        let mut drr = Drr::new(quantum);
        let mut costs = costs.iter().copied().cycle();
        let mut refill = |drr: &mut Drr<u64>, lane| {
            let cost = costs.next().unwrap_or(1);
            drr.push(lane, cost, cost);
        };
        for (lane, weight) in weights.iter().enumerate() {
            drr.set_weight(lane, *weight);
            refill(&mut drr, lane);
            refill(&mut drr, lane);
        }
        let serve = |_| {
            let (lane, cost) = drr.pop()?;
            refill(&mut drr, lane);
            Some((lane, cost))
        };
        (0..150).filter_map(serve).collect()
    }

    /// How far a lane's service in a window may be from its share of what was served there.
    ///
    /// In a window each lane has between m and m+1 turns, and carries over less than one item at
    /// either end; what is left after subtracting the lane's share of everybody's sum is this. With
    /// costs of one there is nothing to carry over, and only the quantum is left.
    fn bound(quantum: u64, weights: &[u64], lane: usize, cost_max: u64) -> f64 {
        let share = weights[lane] as f64 / weights.iter().sum::<u64>() as f64;
        let turn = (quantum * weights[lane]) as f64;
        let carried = (cost_max - 1) as f64;
        (1.0 - share) * (turn + carried) + share * carried * (weights.len() - 1) as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn it_serves_as_the_paper_does(
            quantum in 1u64..8,
            weights in prop::collection::vec(1u64..4, 1..6),
            steps in prop::collection::vec((any::<prop::sample::Index>(), 1u64..40, 0u8..5), 1..300),
        ) {
            let (mut drr, mut model) = (Drr::new(quantum), Model { quantum, ..Model::default() });
            let mut queued = 0;
            for (item, (lane, cost, step)) in (0u32..).zip(steps) {
                if step < 3 {
                    let lane = lane.index(weights.len());
                    drr.set_weight(lane, weights[lane]);
                    drr.push(lane, cost, item);
                    model.push(lane, weights[lane], cost, item);
                    queued += 1;
                } else {
                    let served = drr.pop();
                    queued -= usize::from(served.is_some());
                    prop_assert_eq!(served, model.pop());
                }
                prop_assert_eq!(drr.len(), queued);
            }
            while let Some(served) = drr.pop() {
                prop_assert_eq!(Some(served), model.pop());
            }
            prop_assert_eq!(model.pop(), None);
        }

        #[test]
        fn the_share_of_a_busy_key_is_exact_over_any_window_but_for_a_quantum_and_an_item(
            quantum in 1u64..12,
            weights in prop::collection::vec(1u64..6, 2..6),
            costs in prop::collection::vec(1u64..20, 1..40),
            unit in any::<bool>(),
        ) {
            let costs = if unit { vec![1] } else { costs };
            let cost_max = costs.iter().copied().max().unwrap_or(1);
            let served = backlogged(quantum, &weights, &costs);
            let whole: u64 = weights.iter().sum();
            for (lane, weight) in weights.iter().enumerate() {
                let share = *weight as f64 / whole as f64;
                let allowed = bound(quantum, &weights, lane, cost_max);
                for from in 0..served.len() {
                    let (mut own, mut all) = (0, 0);
                    for (whose, cost) in &served[from..] {
                        own += if *whose == lane { *cost } else { 0 };
                        all += cost;
                        let off = (own as f64 - share * all as f64).abs();
                        prop_assert!(off <= allowed + 1e-6, "{} off, {} allowed", off, allowed);
                    }
                }
            }
        }

        #[test]
        fn a_key_that_comes_and_goes_gains_nothing_over_one_that_stays(
            quantum in 1u64..12,
            bursts in prop::collection::vec((1usize..6, 0usize..8), 1..30),
            costs in prop::collection::vec(1u64..12, 1..20),
        ) {
            let (stays, comes) = (0, 1);
            let mut drr = Drr::new(quantum);
            let mut costs = costs.iter().copied().cycle();
            drr.set_weight(stays, 2);
            drr.set_weight(comes, 2);
            let mut served = Vec::new();
            for (burst, pause) in bursts {
                for _ in 0..burst {
                    let cost = costs.next().unwrap_or(1);
                    drr.push(comes, cost, cost);
                }
                for _ in 0..burst + pause {
                    while drr.lane_len(stays) < 2 {
                        let cost = costs.next().unwrap_or(1);
                        drr.push(stays, cost, cost);
                    }
                    served.extend(drr.pop());
                }
            }
            // One turn more at the most, and an item that it had saved up for before the window.
            let allowed = quantum * 2 + 2 * 11;
            for from in 0..served.len() {
                let mut sums = [0, 0];
                for (lane, cost) in &served[from..] {
                    sums[*lane] += cost;
                    prop_assert!(sums[comes] <= sums[stays] + allowed, "{:?}", sums);
                }
            }
        }
    }

    #[test]
    fn an_item_of_a_billion_quanta_is_served_at_once_when_it_is_alone_and_in_its_turn_otherwise() {
        let mut drr = Drr::new(1);
        drr.set_weight(0, 1);
        drr.push(0, 1 << 40, 'a');
        assert_eq!(drr.pop(), Some((0, 'a')));

        drr.set_weight(1, 3);
        drr.push(0, 10, 'b');
        drr.push(1, 36, 'c');
        drr.push(1, 3, 'd');
        // After ten rounds lane 0 has saved 10, lane 1 has saved 30 of its 36.
        assert_eq!(drr.pop(), Some((0, 'b')));
        assert_eq!([drr.pop(), drr.pop(), drr.pop()], [Some((1, 'c')), Some((1, 'd')), None]);
    }

    #[test]
    fn an_emptied_lane_keeps_neither_deficit_nor_the_memory_of_a_burst() {
        let mut drr = Drr::new(1_000);
        drr.set_weight(0, 1);
        for item in 0..500 {
            drr.push(0, 1, item);
        }
        while drr.pop().is_some() {}
        assert_eq!((drr.lanes[0].deficit, drr.turns.len(), drr.len()), (0, 0, 0));
        assert!(drr.lanes[0].items.capacity() <= ITEMS_KEPT);
    }
}
