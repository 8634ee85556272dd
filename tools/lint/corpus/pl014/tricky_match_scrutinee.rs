//! That of a match as well.
use std::sync::Mutex;

pub async fn step(state: &Mutex<State>, io: &Io) {
    match *state.lock().unwrap() {
        State::Idle => {}
        State::Busy(ref job) => io.run(job).await, //~ PL014
    }
}
