//! Numbers as a person reads them.

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that may have been averaged: grouped from a hundred on, with a decimal below.
#[must_use]
pub fn count(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    if number.abs() >= 100.0 || number.fract().abs() < 0.05 {
        return grouped(number.max(0.0).round() as u64);
    }
    format!("{number:.1}")
}

/// Milliseconds with three digits that count: `0.42 ms`, `17 ms`, `3.2 s`.
#[must_use]
pub fn millis(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() => "-".to_owned(),
        _ if ms < 0.995 => format!("{ms:.2} ms"),
        _ if ms < 9.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 9_950.0 => format!("{:.1} s", ms / 1_000.0),
        _ => format!("{:.0} s", ms / 1_000.0),
    }
}

/// Bytes in the unit of memory that fits.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    const KIB: f64 = 1_024.0;
    match bytes {
        _ if !bytes.is_finite() => "-".to_owned(),
        _ if bytes < KIB => format!("{bytes:.0} B"),
        _ if bytes < KIB * KIB => format!("{:.0} KiB", bytes / KIB),
        _ if bytes < 100.0 * KIB * KIB => format!("{:.1} MiB", bytes / KIB / KIB),
        _ if bytes < 10_000.0 * KIB * KIB => format!("{:.0} MiB", bytes / KIB / KIB),
        _ => format!("{:.1} GiB", bytes / KIB / KIB / KIB),
    }
}

/// A time in minutes and seconds: `12 s`, `5 min`, `6 min 30 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        return format!("{} s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let whole = seconds.round() as u64;
    match whole % 60 {
        0 => format!("{} min", whole / 60),
        rest => format!("{} min {rest} s", whole / 60),
    }
}

/// A share in per cent; only all is 100 % and only nothing is 0 %.
#[must_use]
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let decimals = if (1.0..=99.0).contains(&percent) { 1 } else { 3 };
    match percent {
        _ if !percent.is_finite() => "-".to_owned(),
        _ if ratio >= 1.0 || ratio <= 0.0 => format!("{percent:.0} %"),
        _ if percent > 99.9994 => "above 99.999 %".to_owned(),
        _ if percent < 0.0005 => "below 0.001 %".to_owned(),
        _ => {
            let text = format!("{percent:.decimals$}");
            format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_their_unit() {
        assert_eq!([grouped(7), grouped(1_234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!([count(12.34), count(1_234.5), count(3.0)], ["12.3", "1,235", "3"]);
        let times = [0.4249, 1.04, 17.4, 999.6, 3_210.0, 61_000.0].map(millis);
        assert_eq!(times, ["0.42 ms", "1.0 ms", "17 ms", "1.0 s", "3.2 s", "61 s"]);
        assert_eq!([bytes(100.0), bytes(2_048.0), bytes(3.5 * 1_048_576.0)], ["100 B", "2 KiB", "3.5 MiB"]);
        assert_eq!(
            [seconds(12.0), seconds(1.25), seconds(300.0), seconds(390.0)],
            ["12 s", "1.2 s", "5 min", "6 min 30 s"]
        );
    }

    #[test]
    fn a_share_that_is_not_all_is_not_shown_as_all() {
        assert_eq!([percent(1.0), percent(0.0), percent(0.5)], ["100 %", "0 %", "50 %"]);
        assert_eq!([percent(0.999_999_9), percent(0.000_000_1)], ["above 99.999 %", "below 0.001 %"]);
        assert_eq!([percent(0.998_97), percent(0.999), percent(0.5025)], ["99.897 %", "99.9 %", "50.2 %"]);
        assert_eq!(percent(f64::NAN), "-");
    }
}
