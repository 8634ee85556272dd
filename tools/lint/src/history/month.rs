use std::fmt;

/// A month of the calendar, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month {
    /// Months since the beginning of the year 0.
    number: i64,
}

impl Month {
    /// The month of a time of Unix.
    pub fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let (year, month) = civil(days);
        Self { number: year * 12 + month - 1 }
    }

    /// The month so many before.
    #[must_use]
    pub const fn back(self, months: i64) -> Self {
        Self { number: self.number - months }
    }

    /// How many months later it is than another.
    pub const fn since(self, other: Self) -> i64 {
        self.number - other.number
    }

    /// Whether it begins a year.
    pub const fn is_january(self) -> bool {
        self.number.rem_euclid(12) == 0
    }
}

/// Year and month of a day since 1970, by counting in years that begin in March: the leap day is then
/// the last of the year, and no month before it depends on it.
const fn civil(days: i64) -> (i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    if from_march < 10 { (era * 400 + year, from_march + 3) } else { (era * 400 + year + 1, from_march - 9) }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}", self.number.div_euclid(12), self.number.rem_euclid(12) + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_is_that_of_the_calendar() {
        for (seconds, month) in [
            (0, "1970-01"),
            (951_782_399, "2000-02"),
            (951_868_799, "2000-02"),
            (951_868_800, "2000-03"),
            (1_709_164_800, "2024-02"),
            (1_709_251_200, "2024-03"),
            (1_735_689_599, "2024-12"),
            (1_735_689_600, "2025-01"),
            (-1, "1969-12"),
        ] {
            assert_eq!(Month::of(seconds).to_string(), month, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn months_follow_each_other_and_none_is_left_out(seconds in -50_000_000_000_i64..50_000_000_000) {
            let month = Month::of(seconds);
            let later = Month::of(seconds + 31 * 86_400);
            prop_assert!(month < later && later.since(month) <= 2);
            prop_assert_eq!(Month::of(seconds + 28 * 86_400 - 1).since(month) / 2, 0);
            prop_assert_eq!(later.back(later.since(month)), month);
        }
    }
}
