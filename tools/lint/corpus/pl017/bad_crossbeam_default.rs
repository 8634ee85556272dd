//! crossbeam's, in a thread.
pub fn run(commands: Receiver<Command>, data: Receiver<Sample>, mut state: State) {
    loop {
        crossbeam_channel::select! { //~ PL017
            recv(commands) -> command => state.apply(command),
            recv(data) -> sample => state.add(sample),
            default => continue,
        }
    }
}
