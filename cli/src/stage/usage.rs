//! What a process uses, as the system's process table tells it.

use std::fs;

/// What a process has used so far, and what it holds now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Usage {
    /// Processor time of all of its threads, in user and in system mode, in microseconds.
    pub(crate) cpu_micros: u64,
    /// Bytes that it caused to be written to a disk.
    pub(crate) written_bytes: u64,
    /// Memory in use.
    pub(crate) rss_bytes: u64,
    /// The most memory that was ever in use.
    pub(crate) rss_peak_bytes: u64,
    /// Open files and sockets.
    pub(crate) descriptors: u64,
}

impl Usage {
    /// Of that process; `None` where the system does not tell.
    pub(crate) fn of(id: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        Some(Self {
            cpu_micros: cpu_micros(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?,
            // Closed to other users' processes on some systems; the rest is worth having.
            written_bytes: fs::read_to_string(format!("/proc/{id}/io"))
                .ok()
                .and_then(|io| number_after(&io, "write_bytes:"))
                .unwrap_or(0),
            rss_bytes: number_after(&status, "VmRSS:")? * 1_024,
            rss_peak_bytes: number_after(&status, "VmHWM:")? * 1_024,
            descriptors: fs::read_dir(format!("/proc/{id}/fd")).map_or(0, |files| files.count() as u64),
        })
    }
}

/// The number on the line that begins so.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of a line of `/proc/*/stat`, where they are counted in ticks.
fn cpu_micros(stat: &str) -> Option<u64> {
    // The second field is the command, which may hold anything, but what follows it has no bracket.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_command() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9";
        let tick = 1_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(cpu_micros(stat), Some(300 * tick));
        assert_eq!(cpu_micros("42 (x) S 1"), None);
    }

    #[test]
    fn a_number_is_the_one_on_its_own_line() {
        let io = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(number_after(io, "write_bytes:"), Some(4_096));
        assert_eq!(number_after(io, "VmHWM:"), None);
    }
}
