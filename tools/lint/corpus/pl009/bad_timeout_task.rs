//! A time-out for each session, as a task.
pub fn open(&self, session: Session) -> SessionId {
    let id = self.sessions.insert(session);
    let sessions = self.sessions.clone();
    tokio::task::spawn(async move { //~ PL009
        tokio::time::sleep(IDLE_MAX).await;
        sessions.close_if_idle(id).await;
    });
    id
}
