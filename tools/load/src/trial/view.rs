//! How a trial stands, for whoever shows it.

use std::collections::VecDeque;

use crate::judge::Assertion;
use crate::report::Moment;
use crate::vitals::Vitals;

/// So many moments are shown at most: an hour of seconds.
const MOMENTS_MAX: usize = 3_600;

/// A part of a trial.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Requests a second at its beginning.
    pub rate: f64,
    /// How long it is.
    pub seconds: f64,
}

/// How a trial stands.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct View {
    /// What is tested.
    pub target: String,
    /// What is being done: the name of the part, or that of the time around it.
    pub doing: String,
    /// Since the beginning of the load.
    pub elapsed_seconds: f64,
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// How it went so far.
    pub moments: VecDeque<Moment>,
    /// What must hold, and how it stands.
    pub assertions: Vec<Assertion>,
    /// The target's own numbers, as they were read last.
    pub vitals: Vitals,
    /// Requests under way.
    pub in_flight: u64,
    /// Connections.
    pub connections: u64,
}

impl View {
    /// One moment more.
    pub(crate) fn add(&mut self, moment: Moment) {
        if self.moments.len() == MOMENTS_MAX {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    /// How long all parts take.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.parts.iter().map(|part| part.seconds).sum()
    }
}

/// Shows how a trial stands.
pub trait Show {
    /// A line that stays.
    fn say(&mut self, line: &str);
    /// How it stands now; called a few times a second.
    fn draw(&mut self, view: &View);
    /// Whether whoever looks wants it to stop.
    fn stop_asked(&mut self) -> bool;
}
