//! tokio's has no default; an arm that is always ready is one.
pub async fn drive(mut events: mpsc::Receiver<Event>, game: &mut Game) {
    loop {
        tokio::select! { //~ PL017
            biased;
            Some(event) = events.recv() => game.apply(event),
            _ = std::future::ready(()) => {}
        }
    }
}
