//! Waits for a moment of the machine's clock, to some ten microseconds.
//!
//! tokio's timers tick once a millisecond, which is as long as what is measured takes. An open loop
//! counts every latency from the moment that was intended, so that it would measure the timer.

use std::io;

#[cfg(target_os = "linux")]
pub(super) use precise::Timer;

#[cfg(not(target_os = "linux"))]
pub(super) use coarse::Timer;

#[cfg(target_os = "linux")]
mod precise {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::AsyncReadExt as _;
    use tokio::net::unix::pipe::Receiver;

    use super::io;
    use crate::receiver::machine_micros;

    /// A timer of the system's own. It is read from like a pipe: how often it went off.
    pub(in crate::bench) struct Timer(Receiver);

    impl Timer {
        pub(in crate::bench) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(Receiver::from_owned_fd_unchecked(timer)?))
        }

        /// Waits until the clock shows `at`, in [`machine_micros`].
        pub(in crate::bench) async fn until(&mut self, at: u64) -> io::Result<()> {
            while machine_micros() < at {
                let it_value =
                    Timespec { tv_sec: (at / 1_000_000) as i64, tv_nsec: (at % 1_000_000 * 1_000) as _ };
                let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
                timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
                // More than it has to say: so it is known at once that there is no more.
                let _times = self.0.read(&mut [0; 16]).await?;
            }
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use std::time::Duration;

    use super::io;
    use crate::receiver::machine_micros;

    /// tokio's timer, to a millisecond.
    pub(in crate::bench) struct Timer;

    impl Timer {
        pub(in crate::bench) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until the clock shows `at`, in [`machine_micros`].
        pub(in crate::bench) async fn until(&mut self, at: u64) -> io::Result<()> {
            let wait = at.saturating_sub(machine_micros());
            tokio::time::sleep(Duration::from_micros(wait)).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::machine_micros;

    #[tokio::test]
    async fn it_is_never_early() {
        let mut timer = Timer::new().unwrap();
        for wait in [0, 1, 300, 1_500] {
            let at = machine_micros() + wait;
            timer.until(at).await.unwrap();
            assert!(machine_micros() >= at);
        }
    }
}
