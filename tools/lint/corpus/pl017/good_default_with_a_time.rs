//! crossbeam's default may have a time.
pub fn run(commands: Receiver<Command>, mut state: State) {
    loop {
        crossbeam_channel::select! {
            recv(commands) -> command => state.apply(command),
            default(Duration::from_millis(100)) => state.flush(),
        }
    }
}
