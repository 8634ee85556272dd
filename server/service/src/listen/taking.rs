//! Until when the client of a connection must have taken a large answer.

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

/// One connection's; all clones are one.
#[derive(Clone)]
pub(super) struct Taking {
    within: Duration,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How many large answers there were: the end of one is not that of the next.
    answers: u64,
    until: Option<Instant>,
}

impl Taking {
    /// Each large answer is to be taken within this time.
    pub(super) fn new(within: Duration) -> Self {
        Self { within, state: watch::Sender::new(State::default()) }
    }

    /// A large answer is there; it is taken, or given up, when what this returns is dropped.
    pub(super) fn begin(&self) -> Taken {
        let until = Instant::now() + self.within;
        self.state.send_modify(|state| *state = State { answers: state.answers + 1, until: Some(until) });
        Taken { state: self.state.clone(), answer: self.state.borrow().answers }
    }

    /// Resolves when an answer was not taken in time; never, where all are.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn overdue(&self) {
        let mut state = self.state.subscribe();
        loop {
            let until = state.borrow_and_update().until;
            // The sender is ours: it is there.
            let changed = state.changed();
            match until {
                None => drop(changed.await),
                Some(until) => tokio::select! {
                    () = sleep_until(until) => return,
                    _ = changed => {}
                },
            }
        }
    }
}

/// See [`Taking::begin`].
pub(super) struct Taken {
    state: watch::Sender<State>,
    answer: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.state.send_if_modified(|state| {
            let is_last = state.answers == self.answer;
            if is_last {
                state.until = None;
            }
            is_last
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_is_never_overdue_and_the_next_has_its_own_time() {
        let taking = Taking::new(WITHIN);
        let begun = Instant::now();
        drop(taking.begin());
        assert!(tokio::time::timeout(WITHIN * 2, taking.overdue()).await.is_err());
        let first = taking.begin();
        tokio::time::advance(WITHIN / 2).await;
        let _second = taking.begin();
        drop(first);
        taking.overdue().await;
        assert_eq!(begun.elapsed().as_secs(), (WITHIN * 2 + WITHIN / 2 + WITHIN).as_secs());
    }
}
