//! One value, the last value, and a ring that overwrites: each is bounded.
pub fn signals() -> Signals {
    let (done, finished) = tokio::sync::oneshot::channel::<()>();
    let (state, states) = tokio::sync::watch::channel(State::Starting);
    let (events, _) = tokio::sync::broadcast::channel(256);
    Signals { done, finished, state, states, events }
}
