//! The loop is `for_each`.
pub fn broadcast(sessions: &[Session], notice: Notice) {
    sessions.iter().cloned().for_each(|session| {
        let notice = notice.clone();
        tokio::spawn(async move { session.push(notice).await }); //~ PL001 medium
    });
}
