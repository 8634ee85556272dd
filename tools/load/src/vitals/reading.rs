//! What is read of the target: its memory, its descriptors, its tasks, its queue, and since when it runs.

use super::page::series;

/// Names under which pages tell how many tasks are alive, the first that is there counts: tokio's own
/// metrics as the usual crates show them, then what stands for tasks elsewhere.
const TASKS: &[&str] = &[
    "tokio_alive_tasks",
    "tokio_num_alive_tasks",
    "tokio_rt_alive_tasks",
    "tokio_live_tasks_count",
    "tokio_active_tasks_count",
    "tokio_active_tasks",
    "tokio_tasks",
    "go_goroutines",
];

/// Names of queues, which are added up.
const QUEUES: &[&str] =
    &["plimsoll_bound_waiting", "tokio_global_queue_depth", "tokio_rt_global_queue_depth"];

/// The target's own numbers at one time; what it does not tell is absent.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Vitals {
    /// Resident memory.
    pub memory_bytes: Option<f64>,
    /// Open files and sockets.
    pub descriptors: Option<f64>,
    /// Tasks that are alive.
    pub tasks: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
    /// What waits in queues.
    pub queue: Option<f64>,
    /// Since when it runs, in seconds of its own clock; the same process says the same.
    pub started_seconds: Option<f64>,
    /// Processor time that it has used.
    pub processor_seconds: Option<f64>,
}

impl Vitals {
    /// Reads a Prometheus page that was asked for at `now_seconds` since 1970.
    #[must_use]
    pub fn of_page(page: &str, now_seconds: f64) -> Self {
        let mut vitals = Self::default();
        let mut tasks: Option<(usize, f64)> = None;
        let (mut owned, mut uptime) = (None, None);
        for series in series(page) {
            let value = series.value;
            match series.name {
                "process_resident_memory_bytes" => vitals.memory_bytes = Some(value),
                "process_open_fds" => vitals.descriptors = Some(value),
                "process_threads" | "process_num_threads" => vitals.threads = Some(value),
                "process_start_time_seconds" => vitals.started_seconds = Some(value),
                "process_uptime_seconds" => uptime = Some(value),
                "process_cpu_seconds_total" => vitals.processor_seconds = Some(value),
                // Plimsoll's groups own the tasks of a process that is built on them.
                "plimsoll_bound_in_use" if series.label("kind") == Some("group") => {
                    *owned.get_or_insert(0.0) += value;
                }
                name if QUEUES.contains(&name) => *vitals.queue.get_or_insert(0.0) += value,
                name => {
                    if let Some(rank) = TASKS.iter().position(|known| *known == name)
                        && tasks.is_none_or(|(before, _)| rank < before)
                    {
                        tasks = Some((rank, value));
                    }
                }
            }
        }
        vitals.tasks = tasks.map(|(_, value)| value).or(owned);
        vitals.started_seconds = vitals.started_seconds.or(uptime.map(|uptime| now_seconds - uptime));
        vitals
    }

    /// Whether anything was told at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_plimsoll_tells_everything() {
        let page = "\
# TYPE plimsoll_bound_in_use gauge
plimsoll_bound_in_use{bound=\"http.connections\",kind=\"group\"} 3
plimsoll_bound_in_use{bound=\"tasks\",kind=\"group\"} 9
plimsoll_bound_in_use{bound=\"admission.requests\",kind=\"semaphore\"} 100
plimsoll_bound_waiting{bound=\"a\",kind=\"pool\"} 4
plimsoll_bound_waiting{bound=\"b\",kind=\"semaphore\"} 2
process_resident_memory_bytes 1048576
process_open_fds 33
process_threads 5
process_uptime_seconds 10.5
process_cpu_seconds_total 1.25
# EOF
";
        let vitals = Vitals::of_page(page, 1_000.5);
        assert_eq!(
            vitals,
            Vitals {
                memory_bytes: Some(1_048_576.0),
                descriptors: Some(33.0),
                tasks: Some(12.0),
                threads: Some(5.0),
                queue: Some(6.0),
                started_seconds: Some(990.0),
                processor_seconds: Some(1.25),
            }
        );
    }

    #[test]
    fn tasks_are_those_of_tokio_before_anything_else() {
        let page = "go_goroutines 7\ntokio_alive_tasks 3\ntokio_tasks 5\n";
        assert_eq!(Vitals::of_page(page, 0.0).tasks, Some(3.0));
        assert_eq!(Vitals::of_page("go_goroutines 7\n", 0.0).tasks, Some(7.0));
    }

    #[test]
    fn a_page_of_something_else_tells_nothing() {
        assert!(Vitals::of_page("<!doctype html><title>404</title>", 0.0).is_empty());
        assert!(Vitals::of_page("", 0.0).is_empty());
    }
}
