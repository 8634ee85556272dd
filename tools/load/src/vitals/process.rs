//! What the system tells of a process on this machine.

use std::fs;

use super::Vitals;

/// How many descriptors are counted: the system has no number that could be read instead.
const DESCRIPTORS_MAX: usize = 1 << 20;

/// Reads what the system tells of the process with this id.
///
/// # Errors
/// There is no such process, or nobody may look at it.
pub(super) fn read(id: u32) -> Result<Vitals, String> {
    let path = |name: &str| format!("/proc/{id}/{name}");
    let text = |name: &str| fs::read_to_string(path(name));
    let status = text("status").map_err(|error| format!("process {id}: {error}"))?;
    let stat = text("stat").ok();
    // Whose process it is may be hidden while its memory is not.
    let descriptors = fs::read_dir(path("fd")).ok().map(|list| list.take(DESCRIPTORS_MAX).count() as f64);
    Ok(Vitals { descriptors, ..parsed(&status, stat.as_deref().unwrap_or_default()) })
}

fn parsed(status: &str, stat: &str) -> Vitals {
    let field = |name: &str| -> Option<f64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.split_ascii_whitespace().next()?.parse().ok()
    };
    // The name of the program stands in brackets and may have blanks and brackets of its own.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
    // Numbered from the state on, which is the third field of the line.
    let number = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Vitals {
        memory_bytes: field("VmRSS").map(|kib| kib * 1_024.0),
        threads: field("Threads"),
        processor_seconds: number(11).zip(number(12)).map(|(user, system)| (user + system) / ticks),
        started_seconds: number(19).map(|started| started / ticks),
        ..Vitals::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_brackets_in_its_name_is_read() {
        let status = "Name:\ta) b\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1200 1000000 512";
        let vitals = parsed(status, stat);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((vitals.memory_bytes, vitals.threads), (Some(2_097_152.0), Some(7.0)));
        assert_eq!(vitals.processor_seconds, Some(300.0 / ticks));
        assert_eq!(vitals.started_seconds, Some(1_200.0 / ticks));
        assert!(parsed("", "").is_empty());
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let vitals = read(std::process::id()).unwrap();
        assert!(
            vitals.memory_bytes > Some(0.0) && vitals.threads > Some(0.0) && vitals.descriptors > Some(0.0)
        );
        assert!(read(u32::MAX).is_err());
    }
}
