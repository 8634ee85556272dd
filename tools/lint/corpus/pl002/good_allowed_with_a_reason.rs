//! Its author says why.
pub async fn close(State(app): State<App>) -> StatusCode {
    // plimsoll: allow(PL002) one per operator command, behind the admin token; the process ends after it
    tokio::spawn(async move { app.drain().await });
    StatusCode::ACCEPTED
}
