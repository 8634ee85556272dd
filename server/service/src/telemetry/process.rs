//! The process itself: memory, descriptors, threads, processor time.

use std::fmt;
use std::fs;

use plimsoll::clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

/// Reads the numbers of the process when it is asked for them; a number that the system does not
/// tell is left out.
#[derive(Debug)]
pub(super) struct Process {
    started: clock::Instant,
}

impl Process {
    pub(super) fn started_now() -> Self {
        Self { started: clock::now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let uptime = (clock::now() - self.started).as_secs_f64();
        let limit = getrlimit(Resource::Nofile).current;
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use", resident_bytes()),
            ("process_open_fds", "Open files and sockets", open_descriptors()),
            ("process_max_fds", "How many files and sockets may be open", limit),
            ("process_threads", "Threads", threads()),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let gauge = ConstGauge::new(uptime);
        let help = "How long the process runs";
        gauge.encode(encoder.encode_descriptor(
            "process_uptime_seconds",
            help,
            None,
            gauge.metric_type(),
        )?)?;
        let counter = ConstCounter::new(processor_seconds());
        let help = "Processor time, of the process and of the system for it";
        let encoder = encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?;
        counter.encode(encoder)
    }
}

/// Pages of 4 KiB are not everywhere: the size is the system's.
fn resident_bytes() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn open_descriptors() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn threads() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
