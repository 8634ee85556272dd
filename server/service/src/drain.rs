//! The end: begun by a signal, ended by a deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Tells every part of the process that it should come to an end, and by when; cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use plimsoll_service::drain::Drain;
/// let drain = Drain::new(Duration::from_secs(25));
/// assert!(!drain.is_started());
/// drain.begin();
/// drain.started().await;
/// assert!(drain.left() <= Duration::from_secs(25));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Drain {
    // The deadline once it has begun.
    deadline: Arc<watch::Sender<Option<Instant>>>,
    within: Duration,
}

/// The signals that begin it, listened for from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Drain {
    /// Nothing is drained yet; once it begins it takes `within` at the most.
    #[must_use]
    pub fn new(within: Duration) -> Self {
        Self { deadline: Arc::new(watch::Sender::new(None)), within }
    }

    /// Begins; the deadline counts from the first call.
    pub fn begin(&self) {
        let deadline = Instant::now() + self.within;
        self.deadline.send_if_modified(|begun| {
            let first = begun.is_none();
            begun.get_or_insert(deadline);
            first
        });
    }

    /// Whether it has begun.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// Waits until it begins.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub async fn started(&self) {
        let mut begun = self.deadline.subscribe();
        // It cannot fail: the sender is in `self`.
        let _ = begun.wait_for(Option::is_some).await;
    }

    /// When it must be over, once it has begun.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        *self.deadline.borrow()
    }

    /// How long there is left: all of it before it begins, nothing after the deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        let now = Instant::now();
        self.deadline().map_or(self.within, |deadline| deadline.saturating_duration_since(now))
    }

    /// Begins at the first SIGTERM or SIGINT, and resolves at the second with the code that the
    /// process must exit with at once: 128 and the number of the signal, as shells tell it.
    ///
    /// # Cancel safety
    /// Signals that came before it is dropped have had their effect.
    pub async fn on_signals(&self, mut signals: Signals) -> u8 {
        signals.next().await;
        tracing::info!(seconds = self.within.as_secs(), "draining; a second signal ends it at once");
        self.begin();
        signals.next().await
    }
}

/// The signal that asks to read the configuration again, which no longer ends the process.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens for SIGHUP.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; several that came meanwhile are one.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Signals {
    /// Listens for SIGTERM and SIGINT, which no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_from_the_first_beginning() {
        let drain = Drain::new(Duration::from_secs(10));
        assert_eq!((drain.is_started(), drain.left()), (false, Duration::from_secs(10)));
        drain.begin();
        tokio::time::advance(Duration::from_secs(4)).await;
        drain.begin();
        assert_eq!((drain.is_started(), drain.left()), (true, Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(drain.left(), Duration::ZERO);
    }

    #[tokio::test]
    async fn every_clone_hears_of_it_early_or_late() {
        let drain = Drain::new(Duration::from_secs(10));
        let (early, late) = (drain.clone(), drain.clone());
        tokio::join!(early.started(), async { drain.begin() });
        late.started().await;
    }

    #[tokio::test]
    async fn the_first_signal_begins_and_the_second_ends() {
        let drain = Drain::new(Duration::from_secs(10));
        let signals = Signals::listen().unwrap();
        let raise = |signal| rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
        let code = tokio::join!(drain.on_signals(signals), async {
            assert!(!drain.is_started());
            raise(rustix::process::Signal::TERM);
            drain.started().await;
            raise(rustix::process::Signal::INT);
        });
        assert_eq!(code.0, 130);
    }
}
