//! An arm of a match that is a statement drops it too.
pub async fn webhook(State(app): State<App>, Json(event): Json<Event>) -> StatusCode {
    match event {
        Event::Paid(invoice) => {
            tokio::spawn(app.books.clone().settle(invoice)); //~ PL002 high
        }
        Event::Refunded(invoice) => app.books.refund(invoice).await,
    }
    StatusCode::OK
}
