//! One message in its life, and still nothing that says so.
use tokio::sync::mpsc::unbounded_channel;

fn main() {
    let (stop, mut stopped) = unbounded_channel::<()>(); //~? PL004 low
    install_signal_handler(move || drop(stop.send(())));
    runtime().block_on(async move { stopped.recv().await });
}
