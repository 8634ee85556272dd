//! How a rate or concurrency bound is rolled out: first it only counts, then it refuses a share of
//! what it should, then all.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Invalid, Name};

const PARTS: u32 = 1_000_000;

/// Which share of its refusals a limiter carries out; all, unless said otherwise.
///
/// It is asked only once a refusal was decided, so that it costs admission nothing.
#[derive(Debug)]
pub(crate) struct Enforcement {
    parts: AtomicU32,
    /// What it counts as built with.
    built: AtomicU32,
}

impl Enforcement {
    pub(crate) const fn new() -> Self {
        Self { parts: AtomicU32::new(PARTS), built: AtomicU32::new(PARTS) }
    }

    /// Sets the share, 0 to 1, for the limiter `name`.
    pub(crate) fn set_ratio(&self, name: Name, ratio: f64) -> Result<(), Invalid> {
        self.parts.store(Self::parts(name, ratio)?, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the share, as the one that it counts as built with.
    pub(crate) fn rebase(&self, name: Name, ratio: f64) -> Result<(), Invalid> {
        let parts = Self::parts(name, ratio)?;
        self.parts.store(parts, Ordering::Relaxed);
        self.built.store(parts, Ordering::Relaxed);
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a million, checked to be in 0 to 1"
    )]
    fn parts(name: Name, ratio: f64) -> Result<u32, Invalid> {
        if !(0.0..=1.0).contains(&ratio) {
            let allowed = "0 (observe only) to 1 (refuse all that is over the limit)";
            return Err(Invalid::new(name, "enforced_ratio", ratio, allowed));
        }
        Ok((ratio * f64::from(PARTS)).round() as u32)
    }

    pub(crate) fn ratio(&self) -> f64 {
        f64::from(self.parts.load(Ordering::Relaxed)) / f64::from(PARTS)
    }

    pub(crate) fn is_as_built(&self) -> bool {
        self.parts.load(Ordering::Relaxed) == self.built.load(Ordering::Relaxed)
    }

    /// Whether this one refusal is not carried out.
    pub(crate) fn waives(&self) -> bool {
        match self.parts.load(Ordering::Relaxed) {
            PARTS => false,
            0 => true,
            parts => fastrand::u32(0..PARTS) >= parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_out_of_its_range_is_refused_and_changes_nothing() {
        let enforcement = Enforcement::new();
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let refused = enforcement.set_ratio(Name::UNNAMED, bad).unwrap_err();
            assert_eq!(refused.field(), "enforced_ratio");
            assert!((enforcement.ratio() - 1.0).abs() < 1e-9 && !enforcement.waives());
        }
    }

    #[test]
    fn the_share_that_is_waived_is_what_is_not_enforced() {
        let enforcement = Enforcement::new();
        enforcement.set_ratio(Name::UNNAMED, 0.0).unwrap();
        assert!((0..1_000).all(|_| enforcement.waives()));
        enforcement.set_ratio(Name::UNNAMED, 0.9).unwrap();
        let waived = (0..100_000).filter(|_| enforcement.waives()).count();
        assert!((9_000..11_000).contains(&waived), "{waived}");
    }
}
