//! Once: has something come?
pub fn peek(commands: &Receiver<Command>) -> Option<Command> {
    crossbeam_channel::select! {
        recv(commands) -> command => command.ok(),
        default => None,
    }
}
