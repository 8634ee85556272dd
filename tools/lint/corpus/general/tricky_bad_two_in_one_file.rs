//! Two faults of different rules in one function.
pub async fn handle(State(app): State<App>, Json(batch): Json<Vec<Event>>) -> StatusCode {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel(); //~ PL004 high
    app.log.follow(receiver);
    for event in batch {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(event.enrich().await) }); //~ PL001 high
    }
    StatusCode::ACCEPTED
}
