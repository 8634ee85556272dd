//! From numbers to places on an axis, and the numbers that are written at it.

/// How the numbers of an axis are spread over its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spread {
    /// Equal differences are equally far apart, from zero.
    Linear,
    /// Equal ratios are.
    Logarithmic,
}

/// An axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Scale {
    spread: Spread,
    low: f64,
    high: f64,
}

impl Scale {
    /// An axis for these numbers, a little longer than they need: from zero where it is linear, between
    /// whole decades' parts where it is logarithmic.
    pub(crate) fn around(spread: Spread, values: impl Iterator<Item = f64>) -> Self {
        let valid = values.filter(|value| value.is_finite() && (spread == Spread::Linear || *value > 0.0));
        let (low, high) =
            valid.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if !low.is_finite() || high <= 0.0 {
            return Self { spread, low: if spread == Spread::Linear { 0.0 } else { 0.1 }, high: 1.0 };
        }
        match spread {
            Spread::Linear => Self { spread, low: 0.0, high: next_round(high) },
            Spread::Logarithmic => {
                let decade = 10f64.powf(low.log10().floor());
                let low = [5.0, 2.0, 1.0].into_iter().map(|part| part * decade).find(|part| *part <= low);
                let top = 10f64.powf(high.log10().floor());
                let high =
                    [1.0, 2.0, 5.0, 10.0].into_iter().map(|part| part * top).find(|part| *part >= high);
                let low = low.unwrap_or(decade);
                Self { spread, low, high: high.unwrap_or(top * 10.0).max(low * 10.0) }
            }
        }
    }

    /// From here to there.
    pub(crate) fn between(low: f64, high: f64) -> Self {
        Self { spread: Spread::Linear, low, high: if high > low { high } else { low + 1.0 } }
    }

    /// Where on the axis a number is, from 0 to 1; what is beyond an end is at it.
    pub(crate) fn place(self, value: f64) -> f64 {
        let part = match self.spread {
            Spread::Linear => (value - self.low) / (self.high - self.low),
            Spread::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
    }

    /// The numbers to write, from low to high: about so many.
    pub(crate) fn ticks(self, about: usize) -> Vec<f64> {
        match self.spread {
            Spread::Linear => {
                let step = round_step((self.high - self.low) / about.max(1) as f64);
                let first = (self.low / step).ceil() as i64;
                (0..=2 * about as i64)
                    .map(|number| (first + number) as f64 * step)
                    .take_while(|tick| *tick <= self.high * (1.0 + 1e-9))
                    .collect()
            }
            Spread::Logarithmic => {
                let decades = (self.high / self.low).log10();
                let parts: &[f64] = if decades <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let from = self.low.log10().floor() as i32;
                let to = self.high.log10().ceil() as i32;
                (from..=to)
                    .flat_map(|decade| parts.iter().map(move |part| part * 10f64.powi(decade)))
                    .filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001)
                    .collect()
            }
        }
    }
}

/// The next number that is 1, 1.5, 2, 3, 4, 5, 6 or 8 of a power of ten.
fn next_round(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let parts = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    parts.into_iter().map(|part| part * decade).find(|round| *round >= value * 1.02).unwrap_or(decade * 10.0)
}

/// The nearest step of 1, 2 or 5 of a power of ten that is not smaller.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|part| part * decade)
        .find(|round| *round >= step * 0.999)
        .unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        let linear = Scale::around(Spread::Linear, [3.0, 950.0].into_iter());
        assert_eq!(linear.ticks(5), [0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]);
        let log = Scale::around(Spread::Logarithmic, [0.3, 40.0].into_iter());
        let ticks: Vec<String> = log.ticks(5).iter().map(|tick| format!("{tick:.1}")).collect();
        assert_eq!(ticks, ["0.2", "0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "50.0"]);
    }

    #[test]
    fn nothing_at_all_has_an_axis_too() {
        for spread in [Spread::Linear, Spread::Logarithmic] {
            let scale = Scale::around(spread, [f64::NAN, 0.0].into_iter());
            assert!(!scale.ticks(4).is_empty());
            assert_eq!(scale.place(f64::NAN), 0.0);
        }
        assert_eq!(Scale::between(5.0, 5.0).place(5.0), 0.0);
    }

    proptest! {
        #[test]
        fn every_number_has_a_place_and_a_larger_one_none_before_it(
            values in prop::collection::vec(1e-3..1e9f64, 1..20), logarithmic in any::<bool>(),
        ) {
            let spread = if logarithmic { Spread::Logarithmic } else { Spread::Linear };
            let scale = Scale::around(spread, values.iter().copied());
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let places: Vec<f64> = sorted.iter().map(|value| scale.place(*value)).collect();
            prop_assert!(places.is_sorted() && places.iter().all(|place| (0.0..=1.0).contains(place)));
            let ticks = scale.ticks(5);
            prop_assert!(ticks.is_sorted() && ticks.len() < 40);
        }
    }
}
