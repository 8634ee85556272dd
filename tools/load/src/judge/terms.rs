//! What is asked of a target: how much, for how long, and within which limits.

use std::time::Duration;

use crate::Error;
use crate::profile::{Arrivals, Profile, Shape, Stage};

/// The shares of the bound that the phases offer.
const SHARES: [f64; 3] = [0.7, 2.0, 0.5];
/// Their names.
pub const NAMES: [&str; 3] = ["0.7x below", "2x overload", "0.5x recovery"];
/// How long they take in full, in seconds.
const SECONDS: [f64; 3] = [300.0, 60.0, 30.0];
/// In a shortened run no phase is shorter than these.
const SECONDS_MIN: [f64; 3] = [3.0, 2.0, 5.0];
/// In a lengthened run no phase is longer than these: who is not back by then is not back.
const SECONDS_MAX: [f64; 3] = [f64::MAX, f64::MAX, 30.0];
/// The minutes of all phases in full.
pub const MINUTES: f64 = 6.5;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// The bound: requests a second that the target promises to serve.
    pub bound: f64,
    /// Minutes of all phases together: [`MINUTES`] in full.
    pub minutes: f64,
    /// Within which 99 of 100 of the admitted must be answered under overload, in milliseconds.
    pub p99_ms: f64,
    /// How much memory it may have under overload; without it, 64 MiB more than before.
    pub memory_bytes_max: Option<f64>,
    /// How many times as slow the quietest tenants may get under overload.
    pub quiet_factor: f64,
}

impl Terms {
    /// Everything but the bound as it is without being asked for: 6.5 minutes, 1,000 ms, 64 MiB more
    /// than before the overload, 3 times.
    #[must_use]
    pub fn new(bound: f64) -> Self {
        Self { bound, minutes: MINUTES, p99_ms: 1_000.0, memory_bytes_max: None, quiet_factor: 3.0 }
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<(), Error> {
        let within = |field: &str, value: f64, low: f64, high: f64, allowed: &str| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(Error::invalid(field, value, allowed)) }
        };
        within("bound", self.bound, 0.1, 500_000.0, "0.1 to 500,000 requests a second")?;
        within("minutes", self.minutes, 0.1, 1_440.0, "0.1 to 1,440 minutes")?;
        within("p99-ms", self.p99_ms, 0.1, 600_000.0, "0.1 to 600,000 ms")?;
        within("quiet-factor", self.quiet_factor, 1.0, 1_000.0, "1 to 1,000")?;
        match self.memory_bytes_max {
            Some(bytes) => within("memory-mib", bytes / MIB, 1.0, 1e9, "1 to 1,000,000,000 MiB"),
            None => Ok(()),
        }
    }

    /// How long each phase takes.
    #[must_use]
    pub fn lengths(&self) -> [Duration; 3] {
        std::array::from_fn(|phase| {
            let seconds = SECONDS[phase] * self.minutes / MINUTES;
            // To the millisecond: what is shown is what is done.
            let seconds = seconds.clamp(SECONDS_MIN[phase], SECONDS_MAX[phase]);
            Duration::from_millis((seconds * 1_000.0).round() as u64)
        })
    }

    /// The rates of the phases, in requests a second.
    #[must_use]
    pub fn rates(&self) -> [f64; 3] {
        SHARES.map(|share| share * self.bound)
    }

    /// The phases as a profile.
    ///
    /// # Errors
    /// When so short a run at so low a rate has no request.
    pub fn profile(&self, arrivals: Arrivals) -> Result<Profile, Error> {
        self.check()?;
        let stage = |phase: usize| Stage {
            name: NAMES[phase].to_owned(),
            shape: Shape::Steady { rate: self.rates()[phase] },
            length: self.lengths()[phase],
        };
        Profile::new((0..3).map(stage).collect(), arrivals)
    }
}

pub(super) const MIB: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_full_the_phases_are_those_that_are_promised() {
        let lengths = Terms::new(1_000.0).lengths().map(|length| length.as_secs());
        assert_eq!(lengths, [300, 60, 30]);
        assert_eq!(Terms::new(1_000.0).rates(), [700.0, 2_000.0, 500.0]);
    }

    #[test]
    fn a_tenth_of_the_minutes_is_a_tenth_of_each_phase() {
        let terms = Terms { minutes: 0.65, ..Terms::new(100.0) };
        assert_eq!(terms.lengths().map(|length| length.as_secs()), [30, 6, 5]);
        let profile = terms.profile(Arrivals::Poisson).unwrap();
        assert_eq!(profile.stages().len(), 3);
    }

    #[test]
    fn a_longer_run_leaves_no_more_time_to_recover() {
        let lengths = Terms { minutes: 65.0, ..Terms::new(100.0) }.lengths();
        assert_eq!(lengths.map(|length| length.as_secs()), [3_000, 600, 30]);
    }

    #[test]
    fn what_is_out_of_its_range_is_told_with_the_range() {
        let refused = |terms: Terms| terms.check().unwrap_err().to_string();
        assert_eq!(refused(Terms::new(0.0)), "bound is 0, allowed is 0.1 to 500,000 requests a second");
        assert!(refused(Terms { minutes: f64::NAN, ..Terms::new(1.0) }).starts_with("minutes is NaN"));
        assert!(refused(Terms { memory_bytes_max: Some(1.0), ..Terms::new(1.0) }).starts_with("memory-mib"));
    }
}
