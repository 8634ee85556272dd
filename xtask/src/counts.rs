//! How many tests ran, as the test runners print it.

/// What a step counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// Whose output it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; …`, once for each test binary.
    Cargo,
    /// `Summary [ 1.2s] 6 tests run: 5 passed (1 slow), 1 failed, 2 skipped`.
    Nextest,
    /// `5 passed, 1 failed`.
    Plain,
}

impl Counts {
    /// Sums the lines of `output` in which the runner counts.
    pub(crate) fn read(output: &str, format: Format) -> Self {
        let mut counts = Self::default();
        for line in output.lines().map(str::trim).filter(|line| counts_in(line, format)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                let Ok(number) = pair[0].parse::<u64>() else { continue };
                match pair[1].trim_end_matches([',', ';', '.']) {
                    "passed" => counts.passed += number,
                    "failed" | "timed" => counts.failed += number,
                    "ignored" | "skipped" => counts.ignored += number,
                    _ => {}
                }
            }
        }
        counts
    }
}

fn counts_in(line: &str, format: Format) -> bool {
    match format {
        Format::Cargo => line.starts_with("test result:"),
        Format::Nextest => line.starts_with("Summary ["),
        Format::Plain => {
            let mut words = line.split_whitespace();
            words.next().is_some_and(|first| first.parse::<u64>().is_ok()) && words.next() == Some("passed,")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runner_is_understood() {
        let cargo = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                     test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!(Counts::read(cargo, Format::Cargo), Counts { passed: 7, failed: 3, ignored: 1 });
        let nextest = "     Summary [   1.2s] 6 tests run: 5 passed (1 slow), 1 failed, 2 skipped";
        assert_eq!(Counts::read(nextest, Format::Nextest), Counts { passed: 5, failed: 1, ignored: 2 });
        let one = "     Summary [   0.0s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(Counts::read(one, Format::Nextest), Counts { passed: 1, failed: 0, ignored: 0 });
        assert_eq!(
            Counts::read("ok: a thing\n18 passed, 2 failed\n", Format::Plain),
            Counts { passed: 18, failed: 2, ignored: 0 }
        );
    }

    #[test]
    fn what_a_failed_test_printed_is_not_counted_again_under_nextest() {
        let output = "test result: FAILED. 0 passed; 1 failed; 0 ignored\n\
                      Summary [ 0.1s] 1 test run: 0 passed, 1 failed, 0 skipped";
        assert_eq!(Counts::read(output, Format::Nextest).failed, 1);
    }
}
