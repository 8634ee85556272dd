//! The faults of a debug build.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use super::{Kind, When};

const VARIABLE: &str = "PLIMSOLL_FAULT";

/// Milliseconds that the wall clock was set by.
static CLOCK: AtomicI64 = AtomicI64::new(0);

static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let faults = text.split(',').filter(|one| !one.is_empty()).map(Fault::parse);
    faults.map(|fault| fault.unwrap_or_else(|one| panic!("{VARIABLE}: {one:?}"))).collect()
});

#[derive(Debug)]
struct Fault {
    kind: Kind,
    when: When,
    at: u64,
    passed: AtomicU64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Kill,
    Clock { seconds: i64 },
}

/// Whether anything is to happen at all.
pub(super) fn any() -> bool {
    !FAULTS.is_empty()
}

/// A commit with these in it is there; the log had so many pages before it, and has so many.
pub(super) fn pass(kinds: &[Kind], when: When, synced_pages: u64, log_pages: u64) {
    for fault in FAULTS.iter().filter(|fault| fault.when == when && kinds.contains(&fault.kind)) {
        if fault.passed.fetch_add(1, Ordering::Relaxed) + 1 == fault.at {
            fault.happens(synced_pages, log_pages);
        }
    }
}

impl Fault {
    fn parse(text: &str) -> Result<Self, &str> {
        let parse = || {
            let (point, what) = text.split_once('=')?;
            let (point, at) = point.split_once(':')?;
            let (kind, when) = point.split_once('.')?;
            let kind = match kind {
                "accept" => Kind::Accept,
                "record" => Kind::Record,
                "change" => Kind::Change,
                "release" => Kind::Release,
                "jobs" => Kind::Jobs,
                _ => return None,
            };
            let when = match when {
                "before" => When::Before,
                "between" => When::Between,
                "after" => When::After,
                _ => return None,
            };
            let what = match what {
                "kill" => What::Kill,
                _ => What::Clock { seconds: what.strip_prefix("clock")?.parse().ok()? },
            };
            Some(Self { kind, when, at: at.parse().ok()?, passed: AtomicU64::new(0), what })
        };
        parse().ok_or(text)
    }

    fn happens(&self, synced_pages: u64, log_pages: u64) {
        let Self { kind, when, at, what, .. } = self;
        // Not by a log that may be switched off: the test reads it.
        eprintln!("fault {kind:?}.{when:?}:{at} {what:?} log_pages={synced_pages}..{log_pages}");
        match what {
            What::Kill => {
                let killed = kill_process(getpid(), Signal::KILL);
                unreachable!("it was killed: {killed:?}");
            }
            What::Clock { seconds } => {
                CLOCK.fetch_add(seconds * 1_000, Ordering::Relaxed);
            }
        }
    }
}

/// How far the wall clock was set.
pub(super) fn clock_millis() -> i64 {
    CLOCK.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_by_its_text_and_by_nothing_like_it() {
        let fault = Fault::parse("release.between:12=kill").unwrap();
        assert_eq!(
            (fault.kind, fault.when, fault.at, fault.what),
            (Kind::Release, When::Between, 12, What::Kill)
        );
        let clock = |text| Fault::parse(text).unwrap().what;
        assert_eq!(clock("accept.after:1=clock+3600"), What::Clock { seconds: 3_600 });
        assert_eq!(clock("accept.after:1=clock-3600"), What::Clock { seconds: -3_600 });
        for text in [
            "",
            "accept",
            "accept.before",
            "accept.before:1",
            "accept.before:x=kill",
            "a.b:1=kill",
            "accept.before:1=clock",
        ] {
            assert_eq!(Fault::parse(text).unwrap_err(), text);
        }
    }
}
