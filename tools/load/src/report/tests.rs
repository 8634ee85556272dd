use super::*;
use crate::judge::{Assertion, State, Verdict};
use crate::knee::{Bend, Bound, Finding, Interval};

/// A record of everything, of a run whose p99 and rates are those given.
fn record(p99_ms: f64, rate: f64, seconds: u32) -> Record {
    let mut random = fastrand::Rng::with_seed(11);
    let moment = |second: u32| {
        let mut near = |number: f64| number * (0.95 + 0.1 * random.f64());
        Moment {
            at_seconds: f64::from(second),
            due: rate,
            sent: rate,
            succeeded: near(rate),
            refused: near(rate / 10.0),
            failed: 0.0,
            p50_ms: Some(near(p99_ms / 10.0)),
            p90_ms: Some(near(p99_ms / 2.0)),
            p99_ms: Some(near(p99_ms)),
            max_ms: Some(p99_ms * 2.0),
        }
    };
    let times = Times {
        mean_ms: p99_ms / 9.0,
        p50_ms: p99_ms / 10.0,
        p90_ms: p99_ms / 2.0,
        p99_ms,
        p999_ms: p99_ms,
        max_ms: p99_ms * 2.0,
    };
    let due = (rate * f64::from(seconds)) as u64;
    let counts = Counts { due, succeeded: due, ..Counts::default() };
    let bound = Bound {
        per_second: Interval { value: 700.0, low: 690.0, high: 710.0 },
        beyond: Bend::Refuses,
        collapses_to: None,
    };
    let named = |name: &str, value: &str| Named { name: name.into(), value: value.into() };
    Record {
        version: VERSION,
        target: "http://127.0.0.1:1/<script>".into(),
        begun_unix_seconds: 1,
        verdict: Verdict::Broken,
        because: vec!["a & b".into()],
        assertions: vec![Assertion {
            name: "overload.p99".into(),
            asks: "fast".into(),
            state: State::Broken,
            seen: "slow".into(),
        }],
        not_checked: vec!["recovery.tasks: not told".into()],
        stages: vec![Stage {
            name: "steady".into(),
            from_seconds: 0.0,
            to_seconds: f64::from(seconds),
            counts,
            from_due: times,
            from_sent: times,
        }],
        moments: (1..=seconds).map(moment).collect(),
        readings: vec![Reading { at_seconds: 0.0, memory_bytes: Some(5e6), ..Reading::default() }; 2],
        distribution: Distribution {
            from_due: vec![Quantile { ratio: 0.5, ms: 1.0 }, Quantile { ratio: 0.99, ms: 9.0 }],
            from_sent: Vec::new(),
        },
        tenants: vec![Tenant {
            name: "small".into(),
            stage: "steady".into(),
            due: 9,
            succeeded: 9,
            refused: 0,
            p99_ms: 3.0,
        }],
        search: Some(Search { finding: Finding { bound: Ok(bound), law: None }, steps: Vec::new() }),
        generator: Generator::default(),
        settings: vec![named("p99-ms", "100")],
        environment: vec![named("processors", "2")],
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let record = record(50.0, 100.0, 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&record).unwrap()).unwrap();
    // Of a number JSON keeps all digits but the last.
    assert_eq!(html(&Record::read(file.path()).unwrap()), html(&record));
}

#[test]
fn what_is_no_record_or_of_another_version_is_refused_with_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, told) in
        [("{\"version\":99}", "version is 99, allowed is 1"), ("[]", "no run that"), ("", "no run that")]
    {
        std::fs::write(file.path(), text).unwrap();
        let why = Record::read(file.path()).unwrap_err();
        assert!(why.contains(told) && why.contains(file.path().to_str().unwrap()), "{why}");
    }
    assert!(Record::read(std::path::Path::new("/nowhere/at-all")).is_err());
}

#[test]
fn the_page_stands_alone_and_text_in_it_is_no_markup() {
    let page = html(&record(50.0, 100.0, 20));
    for fetched in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert_eq!(
        page.matches("http").count(),
        page.matches("http://127.0.0.1:1/").count(),
        "only the target's name"
    );
    for expected in [
        "coordinated omission",
        "The bound does not hold",
        "a &amp; b",
        "overload.p99",
        "small",
        "It takes 700/s",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn two_runs_that_are_alike_differ_by_noise_and_a_slower_one_is_told() {
    let (first, second, slow) = (record(50.0, 100.0, 60), record(50.2, 100.0, 60), record(80.0, 100.0, 60));
    let same = compare(&first, &second);
    assert!(same.rows.iter().all(|row| row.difference == Difference::Noise), "{}", same.text());
    let differs = compare(&first, &slow);
    let p99 = differs.rows.iter().find(|row| row.figure == "p99").unwrap();
    assert_eq!((p99.difference, (p99.ratio * 10.0).round()), (Difference::Worse, 16.0), "{}", differs.text());
    assert!(differs.text().contains("WORSE"));
    assert_eq!(compare(&slow, &first).rows[2].difference, Difference::Better);
}

#[test]
fn runs_of_a_few_seconds_are_too_short_to_compare() {
    let short = compare(&record(50.0, 100.0, 3), &record(80.0, 100.0, 3));
    assert!(!short.rows.is_empty() && short.rows.iter().all(|row| row.difference == Difference::TooShort));
}

#[test]
fn what_was_asked_differently_is_told() {
    let mut other = record(50.0, 100.0, 10);
    other.settings[0].value = "200".into();
    assert_eq!(compare(&record(50.0, 100.0, 10), &other).asked_differently, ["p99-ms: 100, then 200"]);
}
