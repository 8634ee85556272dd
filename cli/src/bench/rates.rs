//! Arithmetic of what was measured.

use hdrhistogram::Histogram;

/// The middle one; the mean of the two in the middle where their number is even; 0 of none.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// How many a second between two moments in microseconds; 0 where no time passed.
pub(super) fn per_second(count: u64, from: u64, to: u64) -> f64 {
    if to > from { count as f64 * 1e6 / (to - from) as f64 } else { 0.0 }
}

/// A quotient; 0 by 0 is 0.
pub(super) fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

/// A quantile of latencies in microseconds, in milliseconds.
pub(super) fn quantile_ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1_000.0
}

/// The rate of a series of moments, in order, from its first to its last; 0 of fewer than two.
pub(super) fn rate_of(moments: &[u64]) -> f64 {
    match moments {
        [first, .., last] => per_second(moments.len() as u64 - 1, *first, *last),
        _ => 0.0,
    }
}

/// The most of these moments, in order, that lie within any one second.
pub(super) fn busiest_second(moments: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (place, moment) in moments.iter().enumerate() {
        while moment - moments[first] >= 1_000_000 {
            first += 1;
        }
        most = most.max(place + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!([median(&[]), median(&[3.0]), median(&[9.0, 1.0])], [0.0, 3.0, 5.0]);
        assert_eq!(median(&[100.0, 1.0, 7.0]), 7.0);
    }

    #[test]
    fn rates_of_no_time_are_zero() {
        assert_eq!((per_second(5, 10, 10), per_second(5, 0, 2_000_000)), (0.0, 2.5));
        assert_eq!((ratio(1.0, 0.0), ratio(1.0, 4.0)), (0.0, 0.25));
        assert_eq!((rate_of(&[]), rate_of(&[7])), (0.0, 0.0));
    }

    #[test]
    fn a_steady_series_has_its_rate_and_no_second_is_busier() {
        let steady: Vec<u64> = (0..200).map(|number| 5_000_000 + number * 50_000).collect();
        assert!((rate_of(&steady) - 20.0).abs() < 1e-9);
        assert_eq!(busiest_second(&steady), 20);
        let mut burst = steady.clone();
        burst.extend([15_000_000; 30]);
        assert_eq!(busiest_second(&burst), 30 + 19);
        assert_eq!(busiest_second(&[]), 0);
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latencies = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=100).for_each(|milli| latencies.record(milli * 1_000).unwrap());
        assert!((quantile_ms(&latencies, 0.5) - 50.0).abs() < 0.1);
        assert!((quantile_ms(&latencies, 0.99) - 99.0).abs() < 0.1);
    }
}
