//! When calls come.

use std::ops::RangeInclusive;
use std::time::Duration;

/// More calls than this in one load are refused.
const CALLS_MAX: usize = 10_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// When calls come: stretches of time, one after another, each with its rate.
///
/// Calls come evenly, the first at once, unless [`poisson`](Self::poisson) is asked for.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::testing::Load;
///
/// let second = Duration::from_secs(1);
/// let spike = Load::steady(100.0, 10 * second)
///     .then(Load::burst(500))
///     .then(Load::ramp(400.0..=100.0, 4 * second))
///     .then(Load::steady(100.0, 10 * second));
/// assert_eq!(spike.length(), 24 * second);
/// assert_eq!(spike.calls(), 1_000 + 500 + 1_000 + 1_000);
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use = "a load does nothing until a limiter is run under it"]
pub struct Load {
    stretches: Vec<Stretch>,
    seed: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stretch {
    Rate { from: f64, to: f64, length: Duration },
    Burst(u64),
}

impl Load {
    /// So many a second, for so long: 0 to 1,000,000, and at most a day.
    ///
    /// # Panics
    /// When one of them is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// assert_eq!(Load::steady(0.5, Duration::from_secs(60)).calls(), 30);
    /// ```
    pub fn steady(per_second: f64, length: Duration) -> Self {
        Self::ramp(per_second..=per_second, length)
    }

    /// From so many a second to so many, evenly: each 0 to 1,000,000, over at most a day.
    ///
    /// # Panics
    /// When one of them is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// assert_eq!(Load::ramp(0.0..=100.0, Duration::from_secs(10)).calls(), 500);
    /// ```
    pub fn ramp(per_second: RangeInclusive<f64>, length: Duration) -> Self {
        let (from, to) = per_second.into_inner();
        for rate in [from, to] {
            assert!((0.0..=1e6).contains(&rate), "a load of {rate} a second, allowed is 0 to 1,000,000");
        }
        assert!(length <= DAY, "a load that lasts {length:?}, allowed is up to a day");
        Self { stretches: vec![Stretch::Rate { from, to, length }], seed: None }
    }

    /// So many at once: up to 10,000,000.
    ///
    /// # Panics
    /// When it is more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// assert_eq!((Load::burst(500).calls(), Load::burst(500).length()), (500, Duration::ZERO));
    /// ```
    pub fn burst(calls: u64) -> Self {
        assert!(calls <= CALLS_MAX as u64, "a burst of {calls}, allowed is up to 10,000,000");
        Self { stretches: vec![Stretch::Burst(calls)], seed: None }
    }

    /// This load, and then the other.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// let pause = Load::steady(0.0, Duration::from_secs(5));
    /// let twice = Load::burst(10).then(pause).then(Load::burst(10));
    /// assert_eq!((twice.calls(), twice.length()), (20, Duration::from_secs(5)));
    /// ```
    pub fn then(mut self, next: Self) -> Self {
        self.stretches.extend(next.stretches);
        self.seed = self.seed.or(next.seed);
        self
    }

    /// Calls come by chance, as those of many callers who know nothing of each other do: a Poisson
    /// process, the same one for the same seed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// let by_chance = |seed| Load::steady(100.0, Duration::from_secs(100)).poisson(seed);
    /// assert_eq!(by_chance(7).calls(), by_chance(7).calls());
    /// assert!((9_500..10_500).contains(&by_chance(7).calls()));
    /// ```
    pub const fn poisson(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long it lasts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// let load = Load::steady(10.0, Duration::from_secs(3)).then(Load::burst(500));
    /// assert_eq!(load.length(), Duration::from_secs(3)); // a burst takes no time
    /// ```
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stretches.iter().map(Stretch::length).sum()
    }

    /// How many calls there are.
    ///
    /// # Panics
    /// When there are more than 10,000,000.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::testing::Load;
    /// assert_eq!(Load::steady(10.0, Duration::from_secs(3)).then(Load::burst(500)).calls(), 530);
    /// ```
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.times().len() as u64
    }

    /// When they come, in order.
    pub(super) fn times(&self) -> Vec<Duration> {
        let mut random = self.seed.map(fastrand::Rng::with_seed);
        let mut gap = move || random.as_mut().map_or(1.0, |random| -(1.0 - random.f64()).ln());
        let (mut times, mut began) = (Vec::new(), Duration::ZERO);
        for stretch in &self.stretches {
            match *stretch {
                Stretch::Burst(calls) => times.extend(std::iter::repeat_n(began, calls as usize)),
                Stretch::Rate { .. } => {
                    let mut due = if self.seed.is_some() { gap() } else { 0.0 };
                    while let Some(at) = stretch.when(due) {
                        times.push(began + at);
                        due += gap();
                        assert!(times.len() <= CALLS_MAX, "a load of more than 10,000,000 calls");
                    }
                }
            }
            assert!(times.len() <= CALLS_MAX, "a load of more than 10,000,000 calls");
            began += stretch.length();
        }
        times
    }
}

impl Stretch {
    const fn length(&self) -> Duration {
        match self {
            Self::Rate { length, .. } => *length,
            Self::Burst(_) => Duration::ZERO,
        }
    }

    /// When `calls` calls have come, if they do in this stretch.
    fn when(&self, calls: f64) -> Option<Duration> {
        let Self::Rate { from, to, length } = *self else { return None };
        let whole = length.as_secs_f64();
        // A hair less than all, so that rounding adds no call at the very end.
        if calls >= (from + to) / 2.0 * whole - 1e-9 {
            return None;
        }
        let slope = (to - from) / whole;
        let seconds = if slope.abs() < 1e-12 {
            calls / from
        } else {
            // from t + slope t²/2 = calls, in the form that keeps its digits for small slopes.
            2.0 * calls / (from + (from * from + 2.0 * slope * calls).max(0.0).sqrt())
        };
        let seconds = if seconds.is_finite() { seconds } else { 0.0 };
        Some(Duration::from_secs_f64(seconds).min(length))
    }
}
