//! With a name, and still one each.
pub fn start_sessions(sessions: Vec<Session>) -> std::io::Result<()> {
    for session in sessions {
        std::thread::Builder::new() //~ PL007
            .name(format!("session-{}", session.id))
            .spawn(move || session.run())?;
    }
    Ok(())
}
