//! The clock that the senders and the receivers share.

/// Microseconds on the machine's monotonic clock, which all of its processes share: what `sent_at`
/// is in, so that a latency between two processes survives a step of the wall clock.
pub(crate) fn machine_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000) + now.tv_nsec as u64 / 1_000
}
